"""Which variant to deploy at a length within limits, why not the others, and how sure that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

from effattn_cli.analysis.selection.amounts import Resource
from effattn_cli.analysis.selection.candidates import RESOURCES, Contender, Limit, Needs, Refusal
from effattn_cli.estimate import Estimate

Preference = Literal["quality", "speed", "memory"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """One limit, and what the variant needs of it; None where that is not known."""

    limit: Limit
    estimate: Estimate | None

    @property
    def chance(self) -> float:
        return self.estimate.chance(self.limit.most) if self.estimate else 0.0

    @property
    def certain(self) -> bool:
        return self.estimate is not None and self.estimate.certainly(self.limit.most)

    @property
    def used(self) -> float:
        """The share of the limit that is used up."""
        return self.estimate.value / self.limit.most if self.estimate else float("inf")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A contender at one length."""

    contender: Contender
    refusal: Refusal | None
    estimates: Mapping[Resource, Estimate]
    margins: tuple[Margin, ...]
    confidence: float

    @property
    def label(self) -> str:
        return self.contender.label

    @property
    def fits(self) -> bool:
        kept = all(margin.chance >= self.confidence for margin in self.margins)
        return self.refusal is None and kept

    @property
    def known(self) -> bool:
        """Whether there is a value for every limit."""
        return all(margin.estimate is not None for margin in self.margins)

    @property
    def chance(self) -> float:
        """That all limits are kept, taken as independent; 0 where nothing is known."""
        return 0.0 if self.refusal else prod(margin.chance for margin in self.margins)

    @property
    def certain(self) -> bool:
        return self.refusal is None and all(margin.certain for margin in self.margins)

    @property
    def binding(self) -> Margin | None:
        """The limit that is kept with the least chance; of equals, the one used up most."""
        return min(self.margins, key=lambda m: (m.chance, -m.used), default=None)

    def amount(self, resource: Resource) -> float:
        found = self.estimates.get(resource)
        return found.value if found else float("inf")

    def beats(self, other: "Candidate") -> bool:
        """No worse in time, memory and quality, and better in one of them."""
        pairs = [(self.amount(r), other.amount(r)) for r in ("latency", "memory")]
        mine, theirs = self.contender.quality, other.contender.quality
        if not mine.at_least(theirs) or any(a > b for a, b in pairs):
            return False
        return any(a < b for a, b in pairs) or not theirs.at_least(mine)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Every candidate at one length, the best first; then those that lost, the nearest first."""

    seq: int
    needs: Needs
    prefer: Preference
    candidates: tuple[Candidate, ...]
    scored: str | None = None  # what the scores are of that the profiles hold

    @property
    def best(self) -> Candidate | None:
        first = next(iter(self.candidates), None)
        return first if first is not None and first.fits else None

    @cached_property
    def rivals(self) -> Mapping[str, str]:
        """Candidates off the Pareto front, each with one that beats it."""
        able = [one for one in self.candidates if one.refusal is None and one.estimates]
        able.sort(key=lambda one: (*map(one.amount, RESOURCES[:2]), one.contender.quality.order))
        front: list[Candidate] = []
        found = {}
        for one in able:  # whatever beats it comes before it
            beater = next((other for other in front if other.beats(one)), None)
            if beater is None:
                front.append(one)
            else:
                found[one.label] = beater.label
        return found


def choose(
    found: Iterable[Contender],
    seq: int,
    needs: Needs,
    prefer: Preference = "quality",
    scored: str | None = None,
) -> Choice:
    """Exact attention first among those that fit, then by what is preferred."""
    candidates = [candidate(one, seq, needs) for one in found]
    candidates.sort(key=lambda one: (not one.fits, *_order(one, prefer)))
    return Choice(seq=seq, needs=needs, prefer=prefer, candidates=tuple(candidates), scored=scored)


def candidate(one: Contender, seq: int, needs: Needs) -> Candidate:
    refusal = one.refusal or one.refused_at(seq)
    at = {} if refusal else {resource: one.curves[resource].at(seq) for resource in RESOURCES}
    estimates = {resource: estimate for resource, estimate in at.items() if estimate is not None}
    if refusal is None and not estimates:
        known = any(curve.seqs for curve in one.curves.values())
        refusal = Refusal(why="far" if known else "unmeasured")
    margins = tuple(
        Margin(limit=limit, estimate=estimates.get(limit.resource)) for limit in needs.limits
    )
    return Candidate(
        contender=one,
        refusal=refusal,
        estimates=estimates,
        margins=margins,
        confidence=needs.confidence,
    )


def _order(one: Candidate, prefer: Preference) -> tuple[object, ...]:
    time, memory = one.amount("latency"), one.amount("memory")
    known = one.contender.quality
    if not one.fits:
        return (one.refusal is not None, max((m.used for m in one.margins), default=0.0), one.label)
    exact = not known.exact
    orders: dict[Preference, tuple[object, ...]] = {
        "quality": (exact, known.order, time, memory),
        "speed": (exact, time, memory, known.order),
        "memory": (exact, memory, time, known.order),
    }
    return (*orders[prefer], one.label)
