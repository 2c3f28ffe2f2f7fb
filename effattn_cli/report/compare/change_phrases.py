"""A change in words: how much, how sure, and what it would take to know."""

import math

from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison
from effattn_cli.analysis.compare.verdicts import MAX_ROUNDS, Change, Verdict
from effattn_cli.analysis.series import by_setting
from effattn_cli.metrics import Metric
from effattn_cli.setting import Setting

WIDE = 0.5  # half an interval of a ratio that is no longer told as ±
STYLES: dict[Verdict, str] = {"better": "green", "worse": "red", "same": "", "unclear": "dim"}


def word(verdict: Verdict, metric: Metric) -> str:
    """`slower`, `more`, `same`, `unclear`."""
    return {"worse": metric.worse, "better": metric.better}.get(verdict, verdict)


def verdict(change: Change, metric: Metric, *, brief: bool) -> Text:
    """With about how many more rounds would decide, where it is unclear."""
    text = word(change.verdict, metric)
    if change.verdict == "unclear" and change.more_rounds and not brief:
        text += f", {rounds(change.more_rounds)}"
    return Text(text, STYLES[change.verdict])


def rounds(number: int) -> str:
    """Two digits: it is a forecast."""
    if number >= MAX_ROUNDS:
        return f"needs >{MAX_ROUNDS} more rounds"
    number = math.ceil(float(f"{number:.2g}"))
    return f"needs ~{units.number(number, 'more round')}"


def amount(change: Change) -> str:
    """`+7.7 %`, or `2.3x` from twice as much on."""
    if math.isinf(change.ratio):
        return "from nothing"
    if change.ratio >= 2:
        return units.ratio(change.ratio)
    return f"{percent(change.ratio - 1)}"


def percent(fraction: float) -> str:
    """`+7.7 %`, `-35 %`; never more than two digits, nor less than tenths."""
    text = f"{100 * fraction:+.0f}" if abs(fraction) >= 0.0995 else f"{100 * fraction:+.1f}"
    return f"{'0' if float(text) == 0 else text} %"


def plus_minus(change: Change) -> str:
    """`±9 %`: half the interval, rounded up; from where to where it reaches if that is far.

    Nothing for what is counted.
    """
    if change.low == change.high:
        return ""
    half = max(change.high - change.ratio, change.ratio - change.low)
    if half <= WIDE:
        return f"±{math.ceil(100 * half)} %"
    if math.isinf(change.high):
        return f"({units.ratio(change.low)} or more)"
    return f"({units.ratio(change.low)} to {units.ratio(change.high)})"


def counts(comparison: Comparison) -> str:
    """`latency: 2 slower, 1 faster, 3 same, 8 unclear; memory: 14 same`."""
    parts = []
    for metric in comparison.metrics.values():
        counted = comparison.count(metric.name).items()
        texts = [f"{number} {word(one, metric)}" for one, number in counted if number]
        parts += [f"{metric.title}: {', '.join(texts)}"] if texts else []
    return "; ".join(parts)


def settings(comparison: Comparison) -> list[Setting]:
    """Those of both sides."""
    return [
        series.setting for series in by_setting([*comparison.old.records, *comparison.new.records])
    ]
