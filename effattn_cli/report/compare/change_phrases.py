"""A change in words: how much, how sure, and what it would take to know."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.differences import differences
from effattn_cli.analysis.compare.gate import Breach, GateLimit
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


def percent(share: float) -> str:
    """`+7.7 %`, `-35 %`; never more than two digits, nor less than tenths."""
    text = f"{100 * share:+.0f}" if abs(share) >= 0.0995 else f"{100 * share:+.1f}"
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


def idle(limits: Sequence[GateLimit]) -> Iterator[str]:
    """A line for each limit that no cell was held to."""
    for limit in limits:
        yield f"{_limit(limit)}: no cell has its {limit.metric.title} in both profiles"


def _limit(limit: GateLimit) -> str:
    return f"{limit.metric.name}>{100 * limit.threshold:g}%"


def broken(
    breaches: Mapping[str, Sequence[Breach]], comparisons: Mapping[str, Comparison]
) -> Iterator[str]:
    """A line for each cell that breaks a limit."""
    for name, those in breaches.items():
        every = settings(comparisons[name]) if those else []
        for breach in those:
            cell = breach.cell
            setting = cell.setting.apart(every)
            where = f"{cell.label} at {units.length(cell.seq)}{f' ({setting})' if setting else ''}"
            line = f"{_limit(breach.limit)}: {where}: {breach.why}"
            yield units.clean(f"{line}{f', in {name}' if len(breaches) > 1 else ''}")


def settings(comparison: Comparison) -> list[Setting]:
    """Those of both sides."""
    return [
        series.setting for series in by_setting([*comparison.old.records, *comparison.new.records])
    ]


def as_json(
    old: str, comparisons: Mapping[str, Comparison], breaches: Mapping[str, Sequence[Breach]]
) -> str:
    """One document; a ratio to nothing is null."""
    document = {
        "effattn_comparison": 1,
        "old": old,
        "comparisons": [
            {"new": name}
            | _comparison(comparison)
            | {"breaches": [*map(_breach, breaches.get(name, ()))]}
            for name, comparison in comparisons.items()
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "differences": [asdict(item) for item in differences(comparison)],
        "counts": {name: comparison.count(name) for name in comparison.metrics},
        "spread": comparison.spread,
        "minimum_detectable_effect": _finite(comparison.minimum_detectable_effect),
        "slowdown": comparison.slowdown,
        "means": [
            {"variant": mean.label, "cells": dict(mean.cells)} | _changes(mean.changes)
            for mean in comparison.means
        ],
        "cells": [_pair(pair) for pair in comparison.pairs],
        "only_old": [msgspec.to_builtins(record.cell) for record in comparison.only_old],
        "only_new": [msgspec.to_builtins(record.cell) for record in comparison.only_new],
    }


def _breach(breach: Breach) -> dict[str, Any]:
    return {
        "limit": {"metric": breach.limit.metric.name, "share": breach.limit.threshold},
        "label": breach.cell.label,
        "seq": breach.cell.seq,
        "why": breach.why,
        "cell": msgspec.to_builtins(breach.cell),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    facts = {
        "cell": msgspec.to_builtins(pair.cell),
        "status": [pair.old.status, pair.new.status],
        "newly_failed": pair.newly_failed,
        "newly_fixed": pair.newly_fixed,
    }
    return facts | _changes(pair.changes)


def _changes(changes: Mapping[str, Change]) -> dict[str, Any]:
    return {
        metric: {name: _finite(part) for name, part in asdict(change).items()}
        for metric, change in changes.items()
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isinf(value) else value
