"""Which variant to deploy at a length within limits, why not the others, and how sure that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

from effattn_cli.analysis.selection.candidates import (
    RESOURCES,
    Candidate,
    Limit,
    Rejection,
    Requirements,
)
from effattn_cli.estimate import Estimate

Preference = Literal["quality", "speed", "memory"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Headroom:
    """One limit, and what the variant needs of it; None where that is not known."""

    limit: Limit
    estimate: Estimate | None

    @property
    def probability(self) -> float:
        """That the limit is kept."""
        return self.estimate.probability(self.limit.max) if self.estimate else 0.0

    @property
    def certain(self) -> bool:
        return self.estimate is not None and self.estimate.certainly(self.limit.max)

    @property
    def used(self) -> float:
        """The fraction of the limit that is used up."""
        return self.estimate.value / self.limit.max if self.estimate else float("inf")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A candidate at one length."""

    candidate: Candidate
    rejection: Rejection | None
    estimates: Mapping[str, Estimate]  # by resource
    headrooms: tuple[Headroom, ...]
    confidence: float

    @property
    def label(self) -> str:
        return self.candidate.label

    @property
    def fits(self) -> bool:
        kept = all(headroom.probability >= self.confidence for headroom in self.headrooms)
        return self.rejection is None and kept

    @property
    def known(self) -> bool:
        """Whether there is a value for every limit."""
        return all(headroom.estimate is not None for headroom in self.headrooms)

    @property
    def probability(self) -> float:
        """That all limits are kept, taken as independent; 0 where nothing is known."""
        return 0.0 if self.rejection else prod(h.probability for h in self.headrooms)

    @property
    def certain(self) -> bool:
        return self.rejection is None and all(headroom.certain for headroom in self.headrooms)

    @property
    def binding(self) -> Headroom | None:
        """The limit that is least likely to be kept; of equals, the one used up most."""
        return min(self.headrooms, key=lambda h: (h.probability, -h.used), default=None)

    def amount(self, resource: str) -> float:
        estimate = self.estimates.get(resource)
        return estimate.value if estimate else float("inf")

    def dominates(self, other: "Evaluation") -> bool:
        """No worse in time, memory and quality, and better in one of them."""
        pairs = [(self.amount(r), other.amount(r)) for r in ("latency", "memory")]
        mine, theirs = self.candidate.quality, other.candidate.quality
        if not mine.at_least(theirs) or any(a > b for a, b in pairs):
            return False
        return any(a < b for a, b in pairs) or not theirs.at_least(mine)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Every candidate at one length, the best first; then those that lost, the nearest first."""

    seq: int
    required: Requirements
    prefer: Preference
    evaluations: tuple[Evaluation, ...]
    scored: str | None = None  # what the scores are of that the profiles hold

    @property
    def best(self) -> Evaluation | None:
        first = next(iter(self.evaluations), None)
        return first if first is not None and first.fits else None

    @cached_property
    def dominated(self) -> Mapping[str, str]:
        """Labels off the Pareto front, each with one that dominates it."""
        able = [one for one in self.evaluations if one.rejection is None and one.estimates]
        able.sort(
            key=lambda one: (
                one.amount("latency"), one.amount("memory"), one.candidate.quality.order
            )
        )  # fmt: skip
        front: list[Evaluation] = []
        dominated = {}
        for one in able:  # whatever dominates it comes before it
            better = next((other for other in front if other.dominates(one)), None)
            if better is None:
                front.append(one)
            else:
                dominated[one.label] = better.label
        return dominated


def choose(
    candidates: Iterable[Candidate],
    seq: int,
    required: Requirements,
    prefer: Preference = "quality",
    scored: str | None = None,
) -> Choice:
    """Exact attention first among those that fit, then by what is preferred."""
    evaluations = [evaluate(one, seq, required) for one in candidates]
    evaluations.sort(key=lambda one: (not one.fits, *_order(one, prefer)))
    return Choice(
        seq=seq, required=required, prefer=prefer, evaluations=tuple(evaluations), scored=scored
    )


def evaluate(one: Candidate, seq: int, required: Requirements) -> Evaluation:
    """What a candidate needs at a length, held against the limits."""
    rejection = one.rejection or one.rejected_at(seq)
    estimates: dict[str, Estimate] = {}
    for resource in RESOURCES if rejection is None else ():
        estimate = one.curves[resource].at(seq)
        if estimate is not None:
            estimates[resource] = estimate
    if rejection is None and not estimates:
        has_points = any(curve.seqs for curve in one.curves.values())
        rejection = Rejection(why="far" if has_points else "unmeasured")
    headrooms = tuple(
        Headroom(limit=limit, estimate=estimates.get(limit.resource)) for limit in required.limits
    )
    return Evaluation(
        candidate=one,
        rejection=rejection,
        estimates=estimates,
        headrooms=headrooms,
        confidence=required.confidence,
    )


def _order(one: Evaluation, prefer: Preference) -> tuple[object, ...]:
    time, memory = one.amount("latency"), one.amount("memory")
    quality = one.candidate.quality
    if not one.fits:
        used = max((headroom.used for headroom in one.headrooms), default=0.0)
        return (one.rejection is not None, used, one.label)
    inexact = not quality.exact
    orders: dict[Preference, tuple[object, ...]] = {
        "quality": (inexact, quality.order, time, memory),
        "speed": (inexact, time, memory, quality.order),
        "memory": (inexact, memory, time, quality.order),
    }
    return (*orders[prefer], one.label)
