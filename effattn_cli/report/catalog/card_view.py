"""The catalogue: all variants in a table, or one card in full."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from effattn_cli import cards
from effattn_cli.cards import Card, Causal, Kind, Knob, Option, Swap, Variant
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.units import clean

COLUMNS = (
    Column(title="name", folds=1),
    Column(title="family", extra=1, folds=2),
    Column(title="year", extra=2),
    Column(title="time"),
    Column(title="memory", extra=1),
    Column(title="decode"),
    Column(title="state", extra=2),
    Column(title="causal"),
    Column(title="swap"),
    Column(title="kind"),
    Column(title="deployed in", extra=1, folds=2),
    Column(title="origin", extra=2),
)
#: What it does to softmax attention, or that it leaves it as it is.
KINDS: dict[Kind, str] = {
    "exact": "exact",
    "approximates softmax": "approx.",
    "own mechanism": "own",
    "feed-forward": "ffn",
}
#: What each word asks of a trained model.
SWAPS: dict[Swap, str] = {
    "exact": "the same function of the model's own weights",
    "lossy": "the model's own weights, an approximation",
    "trained": "a model must be trained or converted with it",
}
CAUSAL: dict[Causal, str] = {"optional": "yes", "never": "no", "always": "only"}
#: What the short words of the table mean.
LEGEND = (
    "",
    "swap: what becomes of a trained model's weights. exact: the same function; lossy: an"
    " approximation; trained: the model must be trained with it; if: with some options only;"
    " shortens: fewer tokens come out",
    "kind: exact softmax attention, an approximation of it, or a mechanism of its own; ffn:"
    " replaces the feed-forward",
    "causal: yes, where it is asked for; only: always",
)
#: The letters of the survey's last column.
CLASSES = {
    "FP": "fixed patterns",
    "M": "memory",
    "LP": "learnable patterns",
    "LR": "low rank",
    "KR": "kernels",
    "RC": "recurrence",
    "DS": "downsampling",
    "Sparse": "sparse model",
}


def listing(variants: Iterable[Variant], broken: Mapping[str, str]) -> Group:
    """A row for each variant; plugins that cannot be read are listed with the reason.

    Below it a line for each that is from elsewhere: the column is the first to be left out.
    """
    variants = list(variants)
    rows = [Row(cells=tuple(Text(clean(text)) for text in _facts(item))) for item in variants]
    rows += [
        Row(cells=(Text(clean(name)), Text(f"broken: {clean(reason)}", "red")))
        for name, reason in broken.items()
    ]
    others = [item for item in variants if item.plugin is not None]
    return Group(
        Grid(COLUMNS, rows),
        *(Text(line, "dim") for line in LEGEND if variants),
        *(Text(f"{clean(item.name)}: from {clean(item.origin)}", "dim") for item in others),
    )


def _facts(item: Variant) -> Iterator[str]:
    card = item.card
    yield item.name
    yield ", ".join(card.families)
    yield str(card.year)
    yield card.time
    yield card.memory
    yield "yes" if item.decode else "no"
    yield card.state
    yield CAUSAL[card.causal]
    yield _swap_in_short(item)
    yield KINDS[card.kind]
    yield ", ".join([*card.deployed[:2], *(["..."] if card.deployed[2:] else [])])
    yield item.origin


def _swap_in_short(variant: Variant) -> str:
    """`exact if` where that takes other options than the usual ones, or the model's kv heads."""
    card = variant.card
    if card.kind == "feed-forward" or card.shortens == "always":
        return "" if card.kind == "feed-forward" else "shortens"
    usual = variant.swap({}, causal=card.causal == "always", kv_heads=False)
    return card.swap if usual == card.swap else f"{card.swap} if"


def card(variant: Variant) -> RenderableType:
    """All that is known of a variant without running it."""
    table = Table.grid(padding=(0, 2))
    for name, texts in _sections(variant):
        for index, text in enumerate(texts):
            table.add_row(Text(name if index == 0 else "", "dim"), text)
    heading = Text.assemble((clean(variant.card.title), "bold"), f" ({clean(variant.name)})")
    return Group(heading, Text(clean(variant.summary)), Text(), table)


def _sections(variant: Variant) -> Iterator[tuple[str, list[RenderableType]]]:
    card = variant.card
    facts = {
        "paper": f"{_link(card.paper)} ({card.year})",
        "family": ", ".join(card.families),
        "kind": card.kind,
        "swap": _swap(variant),
        "place": _place(variant),
        "time": f"grows like {card.time} in the tokens N",
        "memory": f"grows like {card.memory}",
        "state": _state(card.state),
        "deployed": ", ".join(card.deployed),
        "survey": _survey(card),
        "causal": card.causal,
        "decode": "yes" if variant.decode else "no",
        "padding": "yes" if card.padding else "no",
        "requires": ", ".join(card.requires),
    }
    for name, text in facts.items():
        if text:
            yield name, [Text(clean(text))]
    yield "options", [line for option in variant.options for line in _option(option)]
    yield "notes", [Text(clean(note)) for note in card.notes]
    yield "exempt", [Text(clean(f"{law}: {why}")) for law, why in card.exempt.items()]
    yield "origin", [Text(clean(variant.origin))]
    yield "path", [Text(clean(variant.path), overflow="fold")]


def _swap(variant: Variant) -> str:
    """What it takes to put it where a trained model has softmax attention, and with what options.

    `lossy: the model's weights, an approximation; softmax attention with window = 2 N`
    """
    card = variant.card
    if card.kind == "feed-forward":
        return ""
    said = f"{card.swap}: {SWAPS[card.swap]}"
    for knob, end in card.knobs.items():
        said += f"; softmax attention {_end(knob, end)}"
    conditions = [f"{name}={_either(values)}" for name, values in card.swap_if.items()]
    conditions += ["kv_heads as the model has them"] if card.own_kv_heads else []
    return said + (f". Only with {', '.join(conditions)}; trained otherwise" if conditions else "")


def _end(knob: str, end: Knob) -> str:
    return f"in the limit of many {knob}" if end == "limit" else f"with {knob} = {end}"


def _either(values: Iterable[object]) -> str:
    """As they are typed: `none or first`."""
    return " or ".join(str(value).lower() for value in values)


def _place(variant: Variant) -> str:
    """What it can stand for in a model.

    `attention in encoders and decoders`
    """
    card = variant.card
    if card.kind == "feed-forward":
        return "the feed-forward, not attention"
    if card.borrows:
        return "attention in a model that has another layer's keys and values at hand"
    modes = {"encoders": card.causal != "always", "decoders": card.causal != "never"}
    able = [name for name, there in modes.items() if there]
    stands = [name for name in able if cards.replaces_attention(card, causal=name == "decoders")]
    shorter = [name for name in able if name not in stands]
    said = [f"attention in {' and '.join(stands)}"] if stands else []
    said += [f"in {' and '.join(shorter)} fewer tokens come out than go in"] if shorter else []
    return "; ".join(said)


def _link(paper: str) -> str:
    site, _, number = paper.partition(":")
    return f"https://arxiv.org/abs/{number}" if site.lower() == "arxiv" else paper


def _state(order: str) -> str:
    """What decoding keeps, in the tokens N so far.

    >>> _state("N/r"), _state("w"), _state("1"), _state("0")
    ('grows like N/r', 'does not grow: w', 'does not grow', 'nothing is kept')
    """
    if order in {"", "0"}:
        return "nothing is kept" if order else ""
    if "N" in order:
        return f"grows like {order}"
    return "does not grow" if order == "1" else f"does not grow: {order}"


def _survey(card: Card) -> str:
    """What Table 1 of the survey prints of the variant."""
    if card.survey is None:
        return ""
    classes = [CLASSES.get(letters, letters) for letters in card.survey.classes.split("+")]
    decode = "decodes" if card.survey.decode else "does not decode"
    return f"{card.survey.complexity}, {decode}, {' + '.join(classes)}"


def _option(option: Option) -> Iterator[RenderableType]:
    """As it is typed and what it takes, then what it does."""
    default = "none" if option.default is None else option.default
    name = Text(clean(f"{option.name}={default}"), "bold")
    yield Text.assemble(name, clean(f"  {_choices(option.type)}"))
    if option.help:
        yield Padding(Text(clean(option.help)), (0, 0, 0, 2))


def _choices(kind: str) -> str:
    """`none | headwise`, where the type is a choice of words.

    >>> _choices("Literal['none', 'headwise']"), _choices("int | None")
    ('none | headwise', 'int | None')
    """
    if not kind.startswith("Literal["):
        return kind
    return " | ".join(word.strip(" '\"") for word in kind[len("Literal[") : -1].split(","))
