"""The variants that keep a trained model's weights, each with some values of its knob."""

from collections.abc import Iterator

from effattn_cli.cards import Value, Variant
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.plan.variant_choices import Choice

#: What a knob is set to, as multiples of its usual value.
FACTORS = (0.25, 1, 4)
#: What it is set to where it usually is nothing, or what the length asks for.
SIZES = (32, 128, 512)


def keepers(catalog: Catalog) -> tuple[Choice, ...]:
    """The exact variants, and the lossy ones with several values of each of their knobs."""
    choices: list[Choice] = []
    for name in catalog.names():
        try:
            variant = catalog.variant(name)
        except BrokenPlugin:
            continue  # nobody asked for it
        if variant.card.swap != "trained":
            choices += _choices(variant)
    return tuple(choices)


def _choices(variant: Variant) -> Iterator[Choice]:
    options = {option.name: option for option in variant.options}
    usual = {name: option.default for name, option in options.items()}
    held: dict[str, Value] = {
        name: values[0]
        for name, values in variant.card.swap_if.items()
        if name != "causal" and usual.get(name) not in values
    }
    if not variant.card.knobs:
        yield Choice(variant.name, held)
    for knob in variant.card.knobs:
        value = usual.get(knob)
        if value:
            assert isinstance(value, int | float)
            sizes = {max(1, int(value * factor)): None for factor in FACTORS}
        else:
            yield Choice(variant.name, held)
            sizes = dict.fromkeys(SIZES)
        for size in sizes:
            yield Choice(variant.name, held if size == value else held | {knob: size})
