"""Limits on what may get worse, for continuous integration: `latency>5%`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isinf

from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.errors import UsageError
from effattn_cli.metrics import Metric, metric
from effattn_cli.records import Cell

_LIMIT = re.compile(r"\s*([\w.-]{1,20})\s*>\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class GateLimit:
    """A cell breaks it where the metric has surely got worse by more than the threshold."""

    metric: Metric
    threshold: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A cell that breaks a limit, and how."""

    limit: GateLimit
    cell: Cell
    why: str


def parse(text: str) -> GateLimit:
    """The limit that `text` states, like `latency>5%`.

    Raises:
        UsageError: it is not a valid limit; the message says how one is written.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        hint = "quote it, or the shell takes > for a redirection: --fail-if 'latency>5%'"
        raise UsageError(f"--fail-if: {text[:60]!r} is not a valid limit", hint)
    return GateLimit(metric(match[1].lower()), float(match[2]) / 100)


def breaches(comparison: Comparison, limits: Sequence[GateLimit], *, strict: bool) -> list[Breach]:
    """What breaks the limits: a cell that got worse, or that was measured and now fails.

    An unclear cell breaks none, unless `strict`: then it does where its interval goes beyond the
    limit, and so does a cell that was measured and now is not.
    """
    return [breach for limit in limits for breach in _of(comparison, limit, strict=strict)]


def idle(comparisons: Iterable[Comparison], limits: Sequence[GateLimit]) -> list[GateLimit]:
    """Those that nothing can break: no cell has the metric on both sides."""
    present = {name for each in comparisons for pair in each.pairs for name in pair.changes}
    return [limit for limit in limits if limit.metric.name not in present]


def _of(comparison: Comparison, limit: GateLimit, *, strict: bool) -> Iterator[Breach]:
    for pair in comparison.pairs:
        why = _why(pair, limit, strict=strict)
        if why:
            yield Breach(limit, pair.cell, why)
    for record in comparison.only_old if strict else ():
        if record.status == "measured":
            yield Breach(limit, record.cell, "not in the new profile")


def _why(pair: Pair, limit: GateLimit, *, strict: bool) -> str:
    if pair.newly_failed:
        return "fails now"
    change = pair.changes.get(limit.metric.name)
    if change is None:
        lost = strict and pair.old.status == "measured"
        return f"no {limit.metric.title} to compare" if lost else ""
    loss, at_worst = _losses(change, limit.metric)
    if change.verdict == "worse" and loss > 1 + limit.threshold:
        return "from nothing" if isinf(loss) else f"{change.ratio - 1:+.1%}"
    if strict and change.verdict == "unclear" and at_worst > 1 + limit.threshold:
        return f"unclear, up to {at_worst - 1:+.1%}"
    return ""


def _losses(change: Change, metric: Metric) -> tuple[float, float]:
    """How many times worse it is, and may be at most."""
    if not metric.higher_is_better:
        return change.ratio, change.high
    return (1 / change.ratio if change.ratio else inf), (1 / change.low if change.low else inf)
