"""A model as its configuration describes it: what is in each layer, its parameters, and what it
keeps between tokens.

Counts are of numbers, not of bytes: how many bytes a number takes is a choice of the deployment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from effattn_cli.cards import Stored
from effattn_cli.machine import Count, Size
from effattn_cli.setting import Dtype, Norm

#: What a layer keeps of a sequence between its tokens.
What = Literal["kv cache", "recurrent state", "convolution state", "index keys"]
#: The form of a model's weights: a dtype, or quantised.
Weights = Literal["float32", "bfloat16", "float16", "fp8", "int8", "int4"]
#: The form of keys and values: a dtype, or quantised.
CacheForm = Literal["float64", "float32", "bfloat16", "float16", "fp8", "int8"]
Words = Annotated[str, Meta(max_length=300)]
BYTES: Mapping[str, int] = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
#: Bits of a quantised key or value with its share of scales, and what is assumed of them.
QUANTISED_CACHE: Mapping[str, tuple[float, str]] = {
    "fp8": (8, "a scale for a whole layer, which is not counted"),
    "int8": (8 + 16 / 128, "a 16-bit scale for each 128 numbers"),
}


class Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that a layer keeps of each sequence: entries of so many numbers."""

    what: What
    numbers: Count  # of an entry
    every: Count | None = None  # tokens for which there is an entry; None: one, whatever the length
    max_tokens: Count | None = None  # tokens of which it keeps entries, at most: a window
    dtype: Dtype | None = None  # where it is not that of the cache, as for recurrent states
    source: bool = False  # of the encoder's output, to which a decoder attends: not of the sequence

    def entries(self, tokens: int, source: int | None = None) -> int:
        """After so many tokens, where the encoder gave `source`; None: it gave as many."""
        if self.every is None:
            return 1
        held = source if self.source and source is not None else tokens
        held = held if self.max_tokens is None else min(held, self.max_tokens)
        return held // self.every

    def number_bytes(self, cache: CacheForm, plain: Dtype) -> float:
        """Of a number. Only keys and values are quantised: other things are `plain` beside them."""
        if self.dtype is not None or cache in BYTES:
            return BYTES[self.dtype or cache]
        return QUANTISED_CACHE[cache][0] / 8 if self.what == "kv cache" else BYTES[plain]

    def bytes(
        self, tokens: int, cache: CacheForm, source: int | None = None, plain: Dtype = "bfloat16"
    ) -> int:
        """Of one sequence of so many tokens, where the encoder gave `source`; None: as many."""
        numbers = self.entries(tokens, source) * self.numbers
        return round(numbers * self.number_bytes(cache, plain))


class Mixer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What mixes tokens in a layer, as a variant of the catalogue."""

    kind: str  # the name that transformers has for such a layer, as "full_attention"
    variant: str
    options: Mapping[str, Stored] = field(default_factory=dict)
    heads: Count
    kv_heads: Count
    head_dim: Count
    parameters: Size  # of its projections and of all within it
    keeps: tuple[Kept, ...] = ()
    causal: bool = True

    def __hash__(self) -> int:
        return hash((self.variant, frozenset(self.options.items()), self.heads, self.parameters))


class Feed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The feed-forward of a layer: dense, or experts of which a token meets a few."""

    activation: str  # "relu", "gelu", "silu", ...; with "gated" before it: silu(x W) * (x V)
    width: Count  # hidden units; of an expert, where there are experts
    parameters: Size
    experts: Size = 0
    chosen: Size = 0  # experts that a token meets
    shared: Size = 0  # hidden units of experts that every token meets
    always: Size = 0  # parameters that every token meets: all of a dense one; router and shared

    @property
    def active(self) -> int:
        """Parameters that one token meets."""
        return self.read(1)

    def read(self, tokens: int) -> int:
        """Parameters that so many tokens meet at most: each of them chooses its own experts."""
        if not self.experts:
            return self.parameters
        met = min(self.experts, tokens * self.chosen)
        return self.always + (self.parameters - self.always) // self.experts * met


class Layer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer; a half that it lacks is None."""

    mixer: Mixer | None = None
    cross: Mixer | None = None  # attention to an encoder's output
    feed: Feed | None = None
    norm: Norm = "rms"
    parameters: Size = 0  # outside of the halves: its norms
    parallel: bool = False  # both halves read the same input
    stack: Literal["decoder", "encoder"] = "decoder"
    repeated: bool = False  # its weights are those of an earlier layer, as in ALBERT

    @property
    def halves(self) -> tuple[Mixer | Feed, ...]:
        return tuple(half for half in (self.mixer, self.cross, self.feed) if half is not None)

    @property
    def all_parameters(self) -> int:
        """That a token meets: also those that belong to an earlier layer."""
        return self.parameters + sum(half.parameters for half in self.halves)

    @property
    def keeps(self) -> tuple[Kept, ...]:
        mixers = (self.mixer, self.cross)
        return tuple(kept for mixer in mixers if mixer is not None for kept in mixer.keeps)


def arranged(layers: Iterable[Layer]) -> dict[str, Any]:
    """The layers that differ, and the place of each among them."""
    indices: dict[Layer, int] = {}
    order = tuple(indices.setdefault(layer, len(indices)) for layer in layers)
    return {"kinds": tuple(indices), "order": order}


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model: its layers in order, and what is around them."""

    name: str
    family: str  # the model_type of its config
    dim: Count  # width of the stream between layers
    kinds: Annotated[tuple[Layer, ...], Meta(min_length=1, max_length=1000)]  # those that differ
    order: Annotated[tuple[Size, ...], Meta(min_length=1, max_length=10_000)]  # places in `kinds`
    vocab: Size  # 0: it has no vocabulary
    embedding: Size  # parameters that are looked up: a token reads a row
    head: Size = 0  # parameters of the projection to the vocabulary, its bias among them
    tied: bool = False  # the head's weights are the embedding's: `head` counts the rest only
    other: Size = 0  # final norm, pooler, projections between stacks
    dtype: Dtype = "bfloat16"
    context: Count | None = None  # positions that it was made for
    source: Count | None = None  # of its encoder's output, where they are always as many
    notes: tuple[Words, ...] = ()  # what was left out, or taken as usual

    def __post_init__(self) -> None:
        if max(self.order) >= len(self.kinds):
            raise ValueError(f"order: there is no layer of the kind {max(self.order)}")

    @classmethod
    def of(cls, *, layers: Iterable[Layer], **facts: Any) -> "Model":
        """The model with these layers, in their order."""
        return cls(**arranged(layers), **facts)

    def having(self, *, layers: Iterable[Layer], **facts: Any) -> "Model":
        """The same with other layers."""
        return replace(self, **arranged(layers), **facts)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In their order."""
        return tuple(self.kinds[index] for index in self.order)

    @property
    def parameters(self) -> int:
        """Of all weights, each once."""
        layers = sum(layer.all_parameters for layer in self.layers if not layer.repeated)
        return layers + self.embedding + self.head + self.other

    def distinct(self) -> dict[Layer, int]:
        """The layers that differ from one another, in order, each with how many are like it."""
        counts: dict[Layer, int] = {}
        for index, count in Counter(self.order).items():
            layer = replace(self.kinds[index], repeated=False)
            counts[layer] = counts.get(layer, 0) + count
        return counts
