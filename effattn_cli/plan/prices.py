"""Prices of machines as they are typed: `h100=2.5/h`, `c7i=$0.53/h`, or a YAML file of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from reprlib import repr as shortened

import yaml

from effattn_cli.analysis.selection.price import Price
from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.config_file import tree
from effattn_cli.text_files import small_text

EXAMPLE = "for example --price h100=2.5/h, or $0.53/h in quotes"
SECONDS = {
    "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400,
}  # fmt: skip
_CURRENCY = r"([^\W\d_]{1,5}|[$€£¥₹])?"
_PRICE = re.compile(
    rf"\s*{_CURRENCY}\s*([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)\s*{_CURRENCY}\s*/\s*([a-z]+)\s*"
)


def price(text: str, place: str = "--price") -> Price:
    """What is paid for a time.

    >>> price("$0.72/h").per_second, price("0.72 EUR/h").show(1.5)
    (0.0002, '1.5 EUR')

    Raises:
        UsageError: it is not a price above 0 for a time.
    """
    match = _PRICE.fullmatch(text)
    if match is None or match[4] not in SECONDS or (match[1] and match[3]):
        hint = f"did you mean '{text.strip()}/h'?" if _PRICE.fullmatch(f"{text}/h") else EXAMPLE
        raise UsageError(f"{place}: {shortened(text)} is not a price", hint)
    if not float(match[2]):
        raise UsageError(
            f"{place}: {shortened(text)}: what is free has no cost to rank by", EXAMPLE
        )
    return Price(
        per_second=float(match[2]) / SECONDS[match[4]],
        before=match[1] or "",
        after=match[3] or "",
        typed=text.strip(),
    )


def prices(
    items: Iterable[str], machines: Sequence[str], competing: Sequence[str]
) -> dict[str, Price]:
    """The price of each machine that competes, from `MACHINE=PRICE` or files. A file may hold those
    of machines of which nothing is known here.

    Raises:
        UsageError: one cannot be read, is of no such machine, or a machine has none; the prices are
            not in one currency.
    """
    listed: dict[str, Price] = {}
    given: dict[str, Price] = {}
    for item in items:
        name, equals, text = item.rpartition("=")
        if not equals:
            listed |= from_file(Path(item))
        elif name in machines:
            given[name] = price(text, f"--price {name}")
        else:
            raise unknown("machine", name, machines)
    by_machine = {name: one for name, one in (listed | given).items() if name in machines}
    _refuse_missing([name for name in competing if name not in by_machine], listed)
    priced = {name: by_machine[name] for name in competing}
    _refuse_currencies(priced)
    return priced


def from_file(path: Path) -> dict[str, Price]:
    """The prices in a YAML file, by machine.

    Raises:
        UsageError: it cannot be read, or does not say `machine: 0.53/h` in each line.
    """
    if not path.exists():
        why = f"--price: {shortened(str(path))} is neither MACHINE=PRICE nor a file"
        raise UsageError(why, EXAMPLE)
    root = tree(small_text(path), path)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    plain = all(isinstance(node, yaml.ScalarNode) for pair in pairs for node in pair)
    if not pairs or not plain:
        raise UsageError(f"{path}: expected prices, like 'h100: 2.5/h', one a line")
    return {key.value: price(value.value, f"{path}: {key.value}") for key, value in pairs}


def _refuse_missing(missing: Sequence[str], listed: Mapping[str, Price]) -> None:
    """A machine without a price cannot be ranked by it."""
    if not missing:
        return
    hint = f"--price {missing[0]}=0.53/h; or leave out its profile"
    if listed:
        hint = f"the file has {', '.join(list(listed)[:5])}; {hint}"
    raise UsageError(f"no price is given for {', '.join(missing)}", hint)


def _refuse_currencies(priced: Mapping[str, Price]) -> None:
    currencies = {one.currency: f"{one.typed} of {name}" for name, one in priced.items()}
    if len(currencies) > 1:
        first, second, *_ = currencies.values()
        raise UsageError(f"the prices are in different currencies: {first}, {second}")
