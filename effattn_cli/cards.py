"""What a variant says of itself, and what is known of it without running it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Value = bool | int | float | str  # of an option
#: How an attention relates to softmax; "feed-forward": the other half of the block is replaced.
Kind = Literal["exact", "approximates softmax", "own mechanism", "feed-forward"]
Causal = Literal["optional", "never", "always"]


class SurveyRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of Table 1 of "Efficient Transformers: A Survey" (arXiv:2009.06732v3), as printed."""

    complexity: str
    decode: bool
    classes: str  # FP, M, LP, LR, KR, RC, DS, Sparse, joined by "+"


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts about a variant that cannot be derived from its code."""

    title: str
    families: tuple[str, ...]
    paper: str  # where the definition comes from, "arXiv:2006.04768"
    year: Annotated[int, Meta(ge=0)]
    time: str  # growth in the tokens N, as "N k" or "N^2" or "N log N"
    memory: str  # the most alive at once beyond inputs and weights; the same notation
    causal: Causal
    kind: Kind
    survey: SurveyRow | None = None
    lra: float | None = None  # Long Range Arena: average accuracy, arXiv:2011.04006, Table 1
    padding: bool = True
    requires: tuple[str, ...] = ()  # packages or devices that it cannot do without
    notes: tuple[str, ...] = ()  # each deliberate difference from the paper, or a doubt
    exempt: Mapping[str, str] = field(default_factory=dict)  # law -> why it does not hold here


class Option(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One option of a variant."""

    name: str
    type: str  # "int", "float", "str", "bool", or "int | None"
    default: Value | None
    help: str = ""


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a variant without running it."""

    name: str
    summary: str
    card: Card
    decode: bool
    options: tuple[Option, ...]
    origin: str  # "bundled", or where the plugin came from
    path: str
    code: str  # a hash of the source and of the parts that it imports

    @property
    def plugin(self) -> str | None:
        """The path to load it from; None for a bundled one, which is known by its name."""
        return None if self.origin == "bundled" else self.path
