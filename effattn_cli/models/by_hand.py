"""A model by its layers, as they are typed: `gated-deltanet*36,gated-attention*12`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from effattn_cli import feeds
from effattn_cli.architecture import Feed, Layer, Model
from effattn_cli.errors import UsageError
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import dense, experts, linear, norm

#: A gated activation by its own name, and the function in it.
GATES = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


@dataclass(frozen=True, kw_only=True)
class Typed:
    """The layers, and the widths that they share."""

    layers: str | None = None
    dim: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    feed: str | None = None
    vocab: int | None = None


def model(typed: Typed) -> Model:
    """The model: RMS norms, one feed-forward for all layers, a head of its own.

    Raises:
        UsageError: the layers cannot be read, or a width is missing.
    """
    assert typed.layers is not None
    if typed.dim is None or typed.heads is None:
        raise UsageError("--layers: the widths are missing", "give --dim and --heads, too")
    shape = feeds.parse(typed.feed or f"swiglu:{round(typed.dim * 8 / 3)}")
    feed = feed_of(shape, typed.dim)
    vocab = typed.vocab or 0
    return Model.of(
        name="by hand", family="by hand", dim=typed.dim,
        layers=tuple(_layers(typed, typed.dim, typed.heads, feed)), vocab=vocab,
        embedding=vocab * typed.dim, head=linear(typed.dim, vocab) if vocab else 0,
        other=norm(typed.dim, "rms"),
    )  # fmt: skip


def _layers(typed: Typed, dim: int, heads: int, feed: Feed) -> Iterator[Layer]:
    if typed.head_dim is None and dim % heads:
        raise UsageError(f"--heads: {dim} is no multiple of {heads}", "give --head-dim")
    for word, count in _runs(typed.layers or ""):
        mixer = named(
            word, {}, dim=dim, heads=heads, kv_heads=typed.kv_heads or heads,
            head_dim=typed.head_dim or dim // heads,
        )  # fmt: skip
        layer = Layer(mixer=mixer, feed=feed, parameters=2 * norm(dim, "rms"))
        yield from [layer] * count


def _runs(text: str) -> Iterator[tuple[str, int]]:
    for item in text.split(","):
        match = re.fullmatch(r"\s*([a-z0-9-]+)\s*(?:\*\s*(\d{1,4}))?\s*", item)
        if match is None or match[2] == "0":
            hint = "write gated-deltanet*36,gated-attention*12"
            raise UsageError(f"--layers: {item!r:.60} is no variant and its count", hint)
        yield match[1], int(match[2] or 1)


def feed_of(shape: feeds.FeedShape, dim: int) -> Feed:
    """The feed-forward of such a shape."""
    width = shape.width or 4 * dim
    activation = GATES.get(shape.activation, shape.activation)
    if not shape.experts:
        return dense(dim, width, activation, gated=shape.gated)
    return experts(
        dim, width, activation, count=shape.experts, chosen=shape.chosen, shared=shape.shared,
        gated=shape.gated,
    )  # fmt: skip
