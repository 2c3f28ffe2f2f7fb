"""What machines cost, as it is typed."""

from pathlib import Path

import pytest

from effattn_cli.errors import UsageError
from effattn_cli.plan.prices import price, prices


@pytest.mark.parametrize(
    ("text", "an_hour", "shown"),
    [
        ("0.53/h", 0.53, "1,234"),
        ("$0.53/hour", 0.53, "$1,234"),
        ("0.5 EUR/h", 0.5, "1,234 EUR"),
        ("€12/day", 0.5, "€1,234"),
        ("CHF 0.01/min", 0.6, "CHF 1,234"),
        ("0.0001/s", 0.36, "1,234"),
    ],
)
def test_a_price_is_of_a_time_in_a_currency_or_in_none(
    text: str, an_hour: float, shown: str
) -> None:
    found = price(text)
    assert found.per_second * 3600 == pytest.approx(an_hour)
    assert found.show(1234.0) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0000421234, "$0.0000421"), (0.1, "$0.100"), (2.5, "$2.50"), (123456.0, "$123,456")],
)
def test_amounts_have_three_digits(amount: float, shown: str) -> None:
    assert price("$1/h").show(amount) == shown


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("0.53", "'0.53' is not a price", "did you mean '0.53/h'?"),
        ("$5", "'$5' is not a price", r"did you mean '\$5/h'?"),
        ("-1/h", "'-1/h' is not a price", "for example"),
        ("1/fortnight", "'1/fortnight' is not a price", "for example"),
        ("$1 EUR/h", "is not a price", "for example"),
        ("0/h", "has no cost to rank by", "for example"),
        ("1e3/h", "'1e3/h' is not a price", "for example"),
    ],
)
def test_what_is_no_price(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message.replace("$", r"\$")) as caught:
        price(text)
    assert hint.replace("\\", "") in str(caught.value.hint)


def test_every_machine_has_a_price_and_a_file_may_hold_others(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("c7i: $0.53/h\nh100: $2.5/h\nother: $9/h\n")
    found = prices([str(path), "h100=$3/h"], ["h100", "c7i"], ["h100", "c7i"])
    assert {name: one.typed for name, one in found.items()} == {"c7i": "$0.53/h", "h100": "$3/h"}


@pytest.mark.parametrize(
    ("items", "message", "hint"),
    [
        (["h10=1/h", "c7i=1/h"], "unknown machine 'h10'", "did you mean 'h100'?"),
        (["h100=1/h"], "no price is given for c7i", "--price c7i=0.53/h"),
        (["h100=$1/h", "c7i=1 EUR/h"], "different currencies: .*1/h of h100, 1 EUR/h of c7i", ""),
        (["prices.yml"], "'prices.yml' is neither MACHINE=PRICE nor a file", "for example"),
    ],
)
def test_what_cannot_be_priced(items: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        prices(items, ["h100", "c7i"], ["h100", "c7i"])
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "- 1/h", "a: [1/h]", "a", "a: &x 1/h", "a: 1", "{"])
def test_a_file_that_holds_no_prices_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UsageError):
        prices([str(path)], ["a"], ["a"])
