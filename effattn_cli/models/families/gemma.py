"""Gemma: soft caps, windows, shared keys and values, embeddings for each layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from msgspec.structs import replace as altered

from effattn_cli.architecture import Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.decoder import (
    ACTIVATION,
    WINDOW,
    Shape,
    Style,
    attention,
    biases,
    decoder,
    kinds,
    shape_of,
)  # fmt: skip
from effattn_cli.models.families.dense import ATTENTION
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import FULL, SLIDING, full_every
from effattn_cli.models.pieces import dense, linear, norm

GEMMA = replace(ATTENTION, activation="gelu_pytorch_tanh", tied=True)
GEMMA2 = replace(GEMMA, norms=4, layout=full_every(2))
SHARED = "a layer that attends to another's keys and values keeps none"
BOTH_WAYS = "tokens that see those after them are not read of this family"


def causal(style: Style, keys: Keys) -> Model:
    """A decoder whose tokens see none after them."""
    if keys.get("use_bidirectional_attention"):
        raise keys.refuse("use_bidirectional_attention", BOTH_WAYS)
    return decoder(keys, style)


def gemma3(keys: Keys) -> Model:
    """Windows but in every sixth layer, heads normed."""
    names = ("sliding_window_pattern", "_sliding_window_pattern")
    style = replace(GEMMA2, qk_norm="head", layout=full_every(6, *names))
    if keys.flag("use_bidirectional_attention"):  # the window is as wide, half of it to either side
        style = replace(
            style, causal=False, notes=("tokens see those after them, and keep nothing",)
        )
    return decoder(keys, style)


@dataclass(frozen=True)
class Plan:
    """The layers of a model in which the last ones may reuse what earlier ones keep."""

    kinds: list[str]
    shapes: list[Shape]
    reuses: list[bool]
    one_projection: bool = False  # keys and values of full layers come of one


def sharing(keys: Keys, count: int) -> list[bool]:
    """Of each layer whether it reuses keys and values of an earlier one."""
    shared = keys.count("num_kv_shared_layers", default=0, minimum=0)
    if shared > count:
        raise keys.refuse("num_kv_shared_layers", f"there are {count} layers")
    return [index >= count - shared for index in range(count)]


def mixed(keys: Keys, style: Style, plan: Plan) -> list[Mixer]:
    """The attention of each layer."""
    return [
        lent(keys, style, shape, kind) if reuse
        else owned(keys, style, shape, kind, one=plan.one_projection and kind == FULL)
        for kind, shape, reuse in zip(plan.kinds, plan.shapes, plan.reuses, strict=True)
    ]  # fmt: skip


def owned(keys: Keys, style: Style, shape: Shape, kind: str, *, one: bool) -> Mixer:
    """With keys and values of its own; of one projection both, where `one`."""
    values = linear(shape.dim, shape.kv_heads * shape.head_dim, bias=biases(keys, style)[0])
    mixer = attention(keys, style, shape, kind, extra=-values if one else 0)
    return altered(mixer, options={**mixer.options, "k_eq_v": True}) if one else mixer


def lent(keys: Keys, style: Style, shape: Shape, kind: str) -> Mixer:
    """With queries only, normed."""
    keys.skip(*WINDOW)
    options: dict[str, Stored] = {"window": keys.count(*WINDOW)} if kind == SLIDING else {}
    qkv, out = biases(keys, style)
    wide = shape.heads * shape.head_dim
    parameters = linear(shape.dim, wide, bias=qkv) + linear(wide, shape.dim, bias=out)
    return Mixer(
        kind=kind, variant="kv-sharing", options=options, heads=shape.heads,
        kv_heads=shape.kv_heads, head_dim=shape.head_dim, parameters=parameters + shape.head_dim,
    )  # fmt: skip


def with_layer_inputs(keys: Keys, model: Model, extra: int = 0, *, table: bool = True) -> Model:
    """With a second embedding, of which each layer reads its own part, where there is one: a
    `table`, and a projection of the first. `extra` counts parameters of a layer's own.
    """
    width, count = (
        keys.count("hidden_size_per_layer_input", default=0, minimum=0),
        len(model.layers),
    )
    if width:
        extra += 2 * linear(model.dim, width) + norm(model.dim, "rms")
    layers = tuple(altered(layer, parameters=layer.parameters + extra) for layer in model.layers)
    rows = keys.count("vocab_size_per_layer_input", default=model.vocab) if width and table else 0
    around = linear(model.dim, count * width) + width
    return model.having(
        layers=layers, embedding=model.embedding + rows * count * width,
        other=model.other + (around if width else 0),
    )  # fmt: skip


def gemma3n(keys: Keys) -> Model:
    """Four streams beside one another, of which a layer computes one; low-rank side paths."""
    style = replace(GEMMA2, qk_norm="head", layout=full_every(5))
    keys.skip("activation_sparsity_pattern")
    order = kinds(keys, style)
    count, shape = len(order), shape_of(keys)
    one = not isinstance(keys.get("intermediate_size"), list)
    widths = [keys.count("intermediate_size")] * count if one else keys.numbers("intermediate_size")
    widths = widths or []
    if len(widths) != count:
        raise keys.refuse("intermediate_size", f"{len(widths)} widths for {count} layers")
    activation = keys.word(*ACTIVATION, default=style.activation)
    reuses = sharing(keys, count)
    plan = Plan(order, [shape] * count, reuses)
    feeds = [dense(shape.dim, width, activation, gated=True) for width in widths]
    model = decoder(keys, style, lambda keys, style: mixed(keys, style, plan), lambda *_: feeds)
    streams = keys.count("altup_num_inputs", default=4)
    extra = streams**2 + streams**3 + streams * shape.dim + shape.dim
    extra += shape.dim if keys.flag("altup_correct_scale", default=True) else 0
    extra += 2 * linear(shape.dim, keys.count("laurel_rank", default=64)) + shape.dim
    model = with_layer_inputs(keys, model, extra)
    return altered(
        model, other=model.other + 2 * (streams - 1) * linear(shape.dim, shape.dim),
        notes=(*model.notes, *((SHARED,) if any(reuses) else ())),
    )  # fmt: skip


FAMILIES: Mapping[str, Reader] = {
    "gemma": partial(causal, GEMMA),
    "gemma2": partial(causal, GEMMA2),
    "gemma3_text": gemma3,
    "gemma3n_text": gemma3n,
    "vaultgemma": partial(causal, replace(GEMMA2, norms=2)),
}  # fmt: skip
