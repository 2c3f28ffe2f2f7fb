"""Scores as they are typed: `linformer=81.2`, `linformer:rank=64=80.1`."""

from collections.abc import Iterable
from reprlib import repr as shortened

from effattn_cli.errors import UsageError
from effattn_cli.plan.option_values import number


def scores(items: Iterable[str]) -> dict[str, float]:
    """The values by the label of a variant with its options.

    Raises:
        UsageError: one is no `LABEL=NUMBER`, or a label is given twice.
    """
    entered: dict[str, float] = {}
    for item in items:
        label, _, text = item.rpartition("=")
        value = number(text)
        if not label or value is None:
            raise UsageError(
                f"{shortened(item)} is not a variant and its score", "for example linformer=81.2"
            )
        if label in entered:
            raise UsageError(f"{shortened(label)} has two scores")
        entered[label] = value
    return entered
