"""What is measured of a model: a cell for each thing in it, and how often it occurs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from effattn_cli import feeds
from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.errors import UsageError
from effattn_cli.models.mixers import FORMULAS
from effattn_cli.records import Cell
from effattn_cli.setting import USUAL, Setting

EMBEDDING, HEAD, NO_MIXER = "token-embedding", "lm-head", "feed-forward"
#: The axes that a model decides; on the others, its cells are as the sweep asks.
DECIDED = ("scope", "causal", "dim", "heads", "kv_heads", "head_dim", "feed", "norm")
Role = Literal["layer", "mixer", "embedding", "head"]
#: Functions by a word in their names, plain and gated, as the axis of a sweep has them.
ACTIVATIONS = {
    "relu2": ("relu2", None), "relu": ("relu", "reglu"), "gelu": ("gelu", "geglu"),
    "silu": ("silu", "swiglu"), "swish": ("silu", "swiglu"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that a pass of the model consists of. A mixer is part of its layer: it counts to
    the model's time once, with the layer.
    """

    role: Role
    layer: Layer | None  # whose; None at the ends of the model
    cell: Cell
    count: int  # of the pass


def base(setting: Setting) -> Setting:
    """The setting without what a model decides."""
    return replace(setting, **{name: getattr(USUAL, name) for name in DECIDED})


def parts(model: Model, seq: int, setting: Setting) -> Iterator[Part]:
    """What a pass over so many tokens consists of, or in the decode phase a step after them.

    Raises:
        UsageError: a layer holds what is not measured, or an encoder is to decode.
    """
    for layer, count in model.distinct().items():
        _refuse(model, layer, setting)
        yield Part(role="layer", layer=layer, cell=_layer(model, layer, seq, setting), count=count)
        if layer.mixer is not None and layer.feed is not None:
            cell = mixer_cell(model, layer.mixer, seq, setting)
            yield Part(role="mixer", layer=layer, cell=cell, count=count)
    if model.vocab:
        yield from _ends(model, seq, setting)


def _refuse(model: Model, layer: Layer, setting: Setting) -> None:
    if layer.cross is not None:
        why = "cross-attention is not measured: a cell has as many keys as queries"
        raise UsageError(f"{model.name}: {why}", "effattn model tells its memory")
    mixer = layer.mixer
    if setting.phase == "decode" and mixer is not None and not mixer.causal:
        raise UsageError(f"{model.name} is an encoder: it does not decode", "give --phase forward")


def _layer(model: Model, layer: Layer, seq: int, setting: Setting) -> Cell:
    """Norms, mixer and feed-forward, with their residuals."""
    shaped = replace(
        setting, scope="block", feed=feed_text(layer.feed), norm=layer.norm, dim=model.dim
    )
    if layer.mixer is None:
        plain = replace(shaped, heads=1)  # nothing has any, and every width is a multiple of one
        return Cell(variant=NO_MIXER, seq=seq, setting=plain)
    return _of(layer.mixer, seq, shaped)


def mixer_cell(model: Model, mixer: Mixer, seq: int, setting: Setting) -> Cell:
    """The mixer with its projections alone."""
    return _of(mixer, seq, replace(setting, scope="layer", dim=model.dim))


def _of(mixer: Mixer, seq: int, setting: Setting) -> Cell:
    usual = mixer.heads * mixer.head_dim == setting.dim
    shares = mixer.variant in FORMULAS and FORMULAS[mixer.variant].share > 1
    return Cell(
        variant=mixer.variant,
        options=mixer.options,
        seq=seq,
        setting=replace(
            setting,
            causal=mixer.causal,
            heads=mixer.heads,
            kv_heads=mixer.kv_heads if shares or mixer.kv_heads != mixer.heads else None,
            head_dim=None if usual else mixer.head_dim,
        ),
    )


def _ends(model: Model, seq: int, setting: Setting) -> Iterator[Part]:
    """Embedding and head. A decoder needs the logits of its last token only, but in training."""
    training = setting.phase == "train"
    plain = replace(setting, scope="layer", dim=model.dim, heads=1)
    tokens = 1 if setting.phase == "decode" else seq
    first = next((layer.mixer for layer in model.layers if layer.mixer is not None), None)
    every = training or (first is not None and not first.causal)
    ends: list[tuple[Role, str, int]] = [("embedding", EMBEDDING, tokens)]
    if model.head or model.tied:
        ends.append(("head", HEAD, tokens if every else 1))
    for role, name, length in ends:
        cell = Cell(variant=name, options={"vocab": model.vocab}, seq=length, setting=plain)
        yield Part(role=role, layer=None, cell=cell, count=1)


def step_parameters(model: Model, batch: int) -> int:
    """Parameters that a step of decoding reads, for so many sequences."""
    layers = sum(count * _read(layer, batch) for layer, count in model.distinct().items())
    return layers + model.head + (model.embedding if model.tied else 0)


def _read(layer: Layer, tokens: int) -> int:
    feed = layer.feed.read(tokens) if layer.feed is not None else 0
    return feed + (layer.mixer.parameters if layer.mixer is not None else 0)


def feed_text(feed: Feed | None) -> str:
    """The feed-forward as the axis of a sweep names it: its products, whatever its biases.

    Raises:
        UsageError: there is no such activation to measure with.
    """
    if feed is None:
        return feeds.NONE
    gated = feed.activation.startswith("gated ")
    function = feed.activation.removeprefix("gated ")
    near = next((name for name in ACTIVATIONS if name in function), None)
    word = ACTIVATIONS[near][gated] if near is not None else None
    if word is None:
        raise UsageError(f"the activation {feed.activation!r} is not measured")
    experts = f"*{feed.experts}/{feed.chosen}" if feed.experts else ""
    shared = f"+{feed.shared}" if feed.shared else ""
    return feeds.parse(f"{word}:{feed.width}{experts}{shared}").text
