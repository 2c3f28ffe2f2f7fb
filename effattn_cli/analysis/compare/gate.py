"""Limits on what may get worse, for continuous integration: `latency>5%`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isinf

from effattn_cli.analysis.compare.comparison import METRICS, Comparison, Pair
from effattn_cli.errors import UsageError, unknown
from effattn_cli.metrics import Metric
from effattn_cli.records import Cell


@dataclass(frozen=True, slots=True)
class Limit:
    """A cell breaks it where the metric has surely got worse by more than the share."""

    metric: Metric
    share: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A cell that breaks a limit; with no pair it is gone."""

    limit: Limit
    label: str
    seq: int
    why: str
    cell: Cell


def parse(text: str) -> Limit:
    """
    Raises:
        UsageError: it is no limit; the message says how one is written.
    """
    found = re.fullmatch(r"\s*(\w{1,20})\s*>\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s*", text)
    if found is None:
        raise UsageError(f"--fail-if: expected a limit, got {text[:60]!r}", "as latency>5%")
    for metric in METRICS:
        if metric == found[1].lower():
            return Limit(metric, float(found[2]) / 100)
    raise unknown("metric", found[1], METRICS)


def breaches(found: Comparison, limits: Sequence[Limit], *, strict: bool) -> list[Breach]:
    """What breaks the limits: a cell that got worse, or that was measured and now fails.

    An unclear cell breaks none, unless `strict`: then it does where its interval goes beyond the
    limit, and so does a cell that was measured and now is not.
    """
    return [each for limit in limits for each in _of(found, limit, strict=strict)]


def idle(found: Iterable[Comparison], limits: Sequence[Limit]) -> list[Limit]:
    """Those that nothing can break: no cell has the metric on both sides."""
    known = {metric for each in found for pair in each.pairs for metric in pair.changes}
    return [limit for limit in limits if limit.metric not in known]


def _of(found: Comparison, limit: Limit, *, strict: bool) -> Iterator[Breach]:
    for pair in found.pairs:
        why = _why(pair, limit, strict=strict)
        if why:
            yield Breach(limit, pair.cell.label, pair.cell.seq, why, pair.cell)
    for record in found.only_old if strict else ():
        if record.status == "measured":
            cell, why = record.cell, "not in the new profile"
            yield Breach(limit, cell.label, cell.seq, why, cell)


def _why(pair: Pair, limit: Limit, *, strict: bool) -> str:
    if pair.newly_failed:
        return "fails now"
    change = pair.changes.get(limit.metric)
    if change is None:
        lost = strict and pair.old.status == "measured"
        return f"no {limit.metric} to compare" if lost else ""
    if change.verdict == "worse" and change.ratio > 1 + limit.share:
        return "from nothing" if isinf(change.ratio) else f"{change.ratio - 1:+.1%}"
    if strict and change.verdict == "unclear" and change.high > 1 + limit.share:
        return f"unclear, up to {change.high - 1:+.1%}"
    return ""
