"""What a variant says of itself, and what is known of it without running it."""

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from effattn_cli.setting import Scope

Value = bool | int | float | str  # of an option
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Stored = bool | Whole | float | str  # the same as a file may hold it
#: How an attention relates to softmax; "feed-forward": the other half of the block is replaced;
#: "model part": no attention at all, and not in the catalogue.
Kind = Literal["exact", "approximates softmax", "own mechanism", "feed-forward", "model part"]
Causal = Literal["optional", "never", "always"]
#: What it takes to put a variant where a trained model has softmax attention. exact: nothing, it is
#: the same function of the same weights. lossy: nothing, but the result is an approximation, which
#: a knob makes as good as one likes. trained: the model must be trained, or converted, with it.
Swap = Literal["exact", "lossy", "trained"]
#: Where a lossy variant becomes softmax attention over N tokens: its knob at N, at 2 N or at 1, or
#: ever more nearly as the knob grows.
Knob = Literal["N", "2 N", "1", "limit"]
#: What bundled variants were called in earlier versions; the names can still be used.
RENAMED: Mapping[str, str] = {"local": "sliding-window"}


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
    year: Annotated[int, Meta(ge=0, le=9999)]  # 0 where it is not known
    time: str  # growth in the tokens N, as "N k", "N^2" or "N log N"; "" where not known
    memory: str  # the most alive at once beyond inputs and weights; the same notation
    causal: Causal
    kind: Kind
    swap: Swap = "trained"  # what says nothing claims nothing
    #: The values of options, and of `causal`, with which `swap` holds; others must be trained.
    swap_if: Mapping[str, tuple[Stored, ...]] = field(default_factory=dict)
    knobs: Mapping[str, Knob] = field(default_factory=dict)  # of a lossy one: its option
    own_kv_heads: bool = False  # fewer than heads where none are given: not the model's weights
    shortens: Literal["never", "always", "causal"] = "never"  # where fewer tokens come out
    borrows: bool = False  # its keys and values are another layer's
    #: Options: a query sees no more tokens than their sum, those near it or at fixed places.
    reach: tuple[str, ...] = ()
    state: str = ""  # growth of what decoding keeps in the N tokens so far; "" where it does not
    deployed: tuple[str, ...] = ()  # models that use it, with released weights or code
    aliases: tuple[str, ...] = ()  # other names, in small letters, without "attention"
    survey: SurveyRow | None = None
    lra: float | None = None  # Long Range Arena: average accuracy, arXiv:2011.04006, Table 1
    padding: bool = True
    requires: tuple[str, ...] = ()  # packages, or a kind of device, that it cannot do without
    notes: tuple[str, ...] = ()  # each deliberate difference from the paper, or a doubt
    exempt: Mapping[str, str] = field(default_factory=dict)  # law -> why it does not hold here


#: Parameters of a plain module that name a size of the setting, and which.
PLAIN_PARAMETERS: Mapping[str, str] = {
    **dict.fromkeys(("dim", "d_model", "embed_dim", "hidden_size", "n_embd"), "dim"),
    **dict.fromkeys(("heads", "num_heads", "n_heads", "n_head", "nhead"), "heads"),
    **dict.fromkeys(("kv_heads", "num_kv_heads", "num_key_value_heads"), "kv_heads"),
    **dict.fromkeys(("head_dim", "dim_head", "d_head"), "head_dim"),
    **dict.fromkeys(("tokens", "max_seq_len", "seq_len", "block_size"), "tokens"),
    **dict.fromkeys(("causal", "is_causal"), "causal"),
}


def plain_card(name: str, parameters: Collection[str]) -> Card:
    """What is known of a plain module that has no card: nothing but its parameters."""
    is_told = any(PLAIN_PARAMETERS.get(parameter) == "causal" for parameter in parameters)
    return Card(
        title=name,
        families=("plain module",),
        paper="",
        year=0,
        time="",
        memory="",
        causal="optional" if is_told else "never",
        kind="own mechanism",
        padding=False,
        notes=("a plain torch.nn.Module: effattn does not know what it computes",),
    )


def swap(card: Card, options: Mapping[str, Stored | None], *, causal: bool, kv_heads: bool) -> Swap:
    """What the swap takes with all these options, the usual ones among them. `kv_heads`: whether
    their number is given, and so that of the model.
    """
    if card.own_kv_heads and not kv_heads:
        return "trained"
    values = {**options, "causal": causal}
    # An option that is not there was added later, and had its usual value before.
    conditions = ((values[name], some) for name, some in card.swap_if.items() if name in values)
    return card.swap if all(value in some for value, some in conditions) else "trained"


def replaces_attention(card: Card, *, causal: bool) -> bool:
    """Whether it can stand where attention stood, by itself: as many tokens come out as went in,
    and the keys and values are its own.
    """
    if card.kind == "feed-forward" or card.borrows:
        return False
    return card.shortens == "never" or (card.shortens == "causal" and not causal)


#: Kinds of devices that a card can require, in capitals or not; all else is a package.
DEVICES = frozenset({"cuda", "mps", "xpu"})


def unmet(card: Card, device: str | None = None) -> str | None:
    """What the variant cannot do without and does not have, in words: a package, or another kind
    of device than this one.
    """
    for name in card.requires:
        if name.lower() in DEVICES:
            if device is not None and device.partition(":")[0] != name.lower():
                return f"{card.title} needs a device of the kind {name.lower()}"
        elif find_spec(name) is None:
            return f"{card.title} needs the package {name!r}, which is not installed"
    return None


class Option(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One option of a variant."""

    name: str
    type: str  # "int", "float", "str", "bool", or "int | None"
    default: Stored | None
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
    plain: bool = False  # a plain module from x to x

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What can be measured of it; where another is asked for, the first stands in.

        A feed-forward has no q, k and v, and a plain module does not show them.
        """
        if self.card.kind == "feed-forward":
            return ("block",)
        if self.card.kind == "model part":
            return ("layer", "block")
        return ("layer", "block") if self.plain else ("core", "layer", "block")

    def swap(self, options: Mapping[str, Stored], *, causal: bool, kv_heads: bool) -> Swap:
        """What the swap takes with these options; see `cards.swap`."""
        usual = {option.name: option.default for option in self.options}
        return swap(self.card, {**usual, **options}, causal=causal, kv_heads=kv_heads)

    def sees(self, options: Mapping[str, Stored]) -> int | None:
        """The tokens that a query sees at most with these options; None where that is all, or is
        not known.
        """
        usual = {option.name: option.default for option in self.options}
        spans = [options.get(name, usual.get(name)) for name in self.card.reach]
        tokens = [int(span) for span in spans if span is not None]
        return sum(tokens) if spans and len(tokens) == len(spans) else None

    @property
    def plugin(self) -> str | None:
        """The path to load it from; None for a bundled one, which is known by its name."""
        return None if self.origin == "bundled" else self.path
