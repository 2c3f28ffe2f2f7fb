"""What the formulas of mixers are made of: widths, options, and the parts that several have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from effattn_cli.architecture import Kept

#: Parameters of a layer, and what it keeps of each sequence.
Half = tuple[int, tuple[Kept, ...]]


@dataclass(frozen=True, kw_only=True)
class Widths:
    """The widths of a layer, and its options, those that are not given at their defaults."""

    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    options: Mapping[str, Any]

    def __getitem__(self, option: str) -> Any:
        return self.options[option]

    def either(self, option: str, usual: int) -> int:
        """The value of an option, or this where it is None."""
        value: int | None = self.options[option]
        return usual if value is None else value

    @property
    def channels(self) -> int:
        """Numbers of all heads."""
        return self.heads * self.head_dim

    @property
    def kv_channels(self) -> int:
        return self.kv_heads * self.head_dim


@dataclass(frozen=True, kw_only=True)
class Formula:
    """What is known of a variant's layer by its widths."""

    kind: str  # what transformers calls such a layer
    half: Callable[[Widths], Half]
    share: int = 1  # query heads of a kv head at least, where their number is not given


def cache(numbers: int, max_tokens: int | None = None) -> Kept:
    """Keys and values, so many numbers a token, of all tokens or of the last `max_tokens`."""
    return Kept(what="kv cache", numbers=numbers, every=1, max_tokens=max_tokens)


def index_keys(numbers: int, every: int = 1) -> Kept:
    """What an index has of each token, or of every so many."""
    return Kept(what="index keys", numbers=numbers, every=every)


def state(numbers: int) -> Kept:
    """A recurrent state, which is kept in float32 whatever the cache is."""
    return Kept(what="recurrent state", numbers=numbers, dtype="float32")


def recent(channels: int, tokens: int) -> tuple[Kept, ...]:
    """What a short convolution has of so many tokens; nothing of none."""
    if not channels * tokens:
        return ()
    return (Kept(what="convolution state", numbers=channels * tokens),)
