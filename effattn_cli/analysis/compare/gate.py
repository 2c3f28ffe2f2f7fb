"""Limits on what may get worse, for continuous integration: `latency>5%`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Literal

from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.errors import UsageError
from effattn_cli.metrics import Metric, metric
from effattn_cli.records import Cell

_LIMIT = re.compile(r"\s*([\w./-]{1,20})\s*>\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s*")


Status = Literal["kept", "broken", "nothing to compare"]


@dataclass(frozen=True, slots=True)
class GateLimit:
    """A cell breaks it where the metric has surely got worse by more than the threshold."""

    metric: Metric
    threshold: float

    def broken_by(self, ratio: float) -> bool:
        """Whether the new value over the old one is worse by more than the threshold: above
        1.05 times a latency, below 0.95 times a throughput, with 5 %.
        """
        if self.metric.higher_is_better:
            return ratio < 1 - self.threshold
        return ratio > 1 + self.threshold


@dataclass(frozen=True, slots=True)
class Breach:
    """A cell that breaks a limit, and how."""

    limit: GateLimit
    cell: Cell
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a limit."""

    limit: GateLimit
    cells: int  # that were held to it
    breaches: tuple[Breach, ...]
    unclear: int  # further cells that may be beyond it

    @property
    def status(self) -> Status:
        if self.breaches:
            return "broken"
        return "kept" if self.cells else "nothing to compare"

    @property
    def passed(self) -> bool:
        """Only what was compared can pass."""
        return self.status == "kept"


def parse(text: str) -> GateLimit:
    """The limit that `text` states, like `latency>5%`.

    Raises:
        UsageError: it is not a valid limit; the message says how one is written.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        hint = "quote it, or the shell takes > for a redirection: --fail-if 'latency>5%'"
        raise UsageError(f"--fail-if: {text[:60]!r} is not a valid limit", hint)
    limit = GateLimit(metric(match[1].lower()), float(match[2]) / 100)
    if limit.metric.higher_is_better and limit.threshold >= 1:
        why = f"a {limit.metric.title} cannot fall by {match[2]} %"
        raise UsageError(f"--fail-if: {why}, so that nothing breaks this limit", "as throughput>5%")
    return limit


def outcomes(
    comparison: Comparison, limits: Sequence[GateLimit], *, strict: bool
) -> tuple[Outcome, ...]:
    """What became of each limit.

    Cells break it that got worse, or were measured and now fail. An unclear cell breaks none,
    unless `strict`: then it does where its interval goes beyond the limit, and so does a cell that
    was measured and now is not.
    """
    return tuple(_outcome(comparison, limit, strict=strict) for limit in limits)


def _outcome(comparison: Comparison, limit: GateLimit, *, strict: bool) -> Outcome:
    breaches = tuple(_breaches(comparison, limit, strict=strict))
    changes = {pair.cell: pair.changes.get(limit.metric.name) for pair in comparison.pairs}
    compared = {cell: change for cell, change in changes.items() if change and _is_there(change)}
    open_cells = (cell for cell, change in compared.items() if _may_break(change, limit))
    broken = {breach.cell for breach in breaches}
    return Outcome(
        limit=limit,
        cells=len(compared.keys() | broken),
        breaches=breaches,
        unclear=sum(cell not in broken for cell in open_cells),
    )


def _is_there(change: Change) -> bool:
    """Nothing on both sides, as the state of what does not decode, is nothing to compare."""
    return bool(change.old or change.new)


def _breaches(comparison: Comparison, limit: GateLimit, *, strict: bool) -> Iterator[Breach]:
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
    if change.verdict == "worse" and limit.broken_by(change.ratio):
        return "from nothing" if isinf(change.ratio) else f"{change.ratio - 1:+.1%}"
    if strict and _may_break(change, limit):
        return f"unclear, up to {_at_worst(change, limit) - 1:+.1%}"
    return ""


def _may_break(change: Change, limit: GateLimit) -> bool:
    return change.verdict == "unclear" and limit.broken_by(_at_worst(change, limit))


def _at_worst(change: Change, limit: GateLimit) -> float:
    return change.low if limit.metric.higher_is_better else change.high
