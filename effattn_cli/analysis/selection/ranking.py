"""Which variant to deploy at a length within limits, why not the others, and how sure that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from effattn_cli.analysis.selection import ordering
from effattn_cli.analysis.selection.candidates import (
    RESOURCES,
    Candidate,
    Limit,
    Rejection,
    Requirements,
)
from effattn_cli.analysis.selection.ordering import Preference
from effattn_cli.estimate import Estimate


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
    cost: Estimate | None = None  # of a million tokens, where the machine has a price

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

    def estimate(self, resource: str) -> Estimate | None:
        """Of a resource, or of the cost."""
        return self.cost if resource == "cost" else self.estimates.get(resource)

    def amount(self, resource: str) -> float:
        estimate = self.estimate(resource)
        return estimate.value if estimate else float("inf")

    def interval(self, resource: str) -> tuple[float, float]:
        """What the amount is within; beyond all others where it is not known."""
        estimate = self.estimate(resource)
        return (estimate.low, estimate.high) if estimate else (float("inf"), float("inf"))

    def dominates(self, other: "Evaluation", *, training: bool = False) -> bool:
        """No worse in time, memory, cost, evidence and what it takes, and better in one of them."""
        mine, theirs = self.candidate.quality, other.candidate.quality
        pairs = [(self.amount(r), other.amount(r)) for r in ("latency", "memory", "cost")]
        simple, other_simple = (q.simplicity(training=training) for q in (mine, theirs))
        worse = any(a > b for a, b in pairs) or simple > other_simple
        if worse or not mine.at_least(theirs, training=training):
            return False
        better = any(a < b for a, b in pairs) or simple < other_simple
        return better or not theirs.at_least(mine, training=training)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Every candidate at one length, the best first; then those that lost, the nearest first."""

    seq: int
    required: Requirements
    prefer: Preference
    evaluations: tuple[Evaluation, ...]
    scored: str | None = None  # what the scores are of that the profiles hold
    tied: frozenset[str] = frozenset()  # labels that nothing known tells apart from the best

    @property
    def best(self) -> Evaluation | None:
        first = next(iter(self.evaluations), None)
        return first if first is not None and first.fits else None

    @property
    def fitting(self) -> list[Evaluation]:
        return [one for one in self.evaluations if one.fits]

    @property
    def front(self) -> list[Evaluation]:
        """What fits and is not dominated by anything that fits, and the best."""
        fits = {one.label for one in self.fitting}
        return [
            one
            for one in self.fitting
            if self.dominated.get(one.label) not in fits or one is self.best
        ]

    @cached_property
    def dominated(self) -> Mapping[str, str]:
        """Labels off the Pareto front, each with one that dominates it, the best if that does."""
        able = [one for one in self.evaluations if one.rejection is None and one.estimates]
        training, dominators = self.required.training, {}
        for one in able:
            by = (other.label for other in able if other.dominates(one, training=training))
            if (first := next(by, None)) is not None:
                dominators[one.label] = first
        return dominators


def choose(
    candidates: Iterable[Candidate],
    seq: int,
    required: Requirements,
    prefer: Preference = "quality",
    scored: str | None = None,
) -> Choice:
    """The best of what fits at a length; see `ordering` for what is best."""
    evaluations = [evaluate(one, seq, required) for one in candidates]
    return ranked(evaluations, seq, required, prefer, scored)


def ranked(
    evaluations: Iterable[Evaluation],
    seq: int,
    required: Requirements,
    prefer: Preference,
    scored: str | None = None,
) -> Choice:
    everything = list(evaluations)
    fits = [one for one in everything if one.fits]
    lost = sorted((one for one in everything if not one.fits), key=_farness)
    tiers = ordering.tiers(fits, prefer, training=required.training)
    return Choice(
        seq=seq,
        required=required,
        prefer=prefer,
        evaluations=(*(one for tier in tiers for one in tier), *lost),
        scored=scored,
        tied=frozenset(one.label for one in tiers[0][1:]) if tiers else frozenset(),
    )


def evaluate(one: Candidate, seq: int, required: Requirements) -> Evaluation:
    """What a candidate needs at a length, held against the limits."""
    one = one.seen_at(seq)
    rejection = one.rejection or one.rejected_at(seq) or one.unproven(required)
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
        cost=one.cost(seq) if rejection is None else None,
    )


def _farness(one: Evaluation) -> tuple[object, ...]:
    """Of what does not fit: how far it is from that."""
    used = max((headroom.used for headroom in one.headrooms), default=0.0)
    return one.rejection is not None, used, one.label
