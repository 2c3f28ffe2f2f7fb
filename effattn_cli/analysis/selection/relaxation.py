"""How far a budget reaches, and what to give up where nothing fits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from effattn_cli.analysis.selection.candidates import Candidate, Limit, Requirements
from effattn_cli.analysis.selection.evidence import TASKS, Finding, Task
from effattn_cli.analysis.selection.ranking import Choice, Evaluation, evaluate, ranked

#: A length that was not measured is a multiple of so many tokens, of the second from 1k on.
GRAINS = (64, 256)
NEAREST = 20  # candidates that are asked what they would need
MAX_RELAXATIONS = 3  # that an answer names
SHORTER = (16, 8, 4, 2)  # parts of the shortest measured length

Test = Callable[[Evaluation], bool]
Wish = Literal["exact", "weights"] | Task


@dataclass(frozen=True, kw_only=True)
class MaxContext:
    """The longest context at which a candidate keeps all limits."""

    candidate: Candidate
    seq: int | None  # None: at no length
    lower: int | None  # of it: where the upper ends of all intervals are within the limits
    upper: int | None  # of it: where the lower ends are
    ends: Evaluation | None  # just beyond `seq`: what it would break; None where nothing is known

    @property
    def open(self) -> bool:
        """Whether nothing says that it does not reach further."""
        return self.ends is None and self.seq is not None


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """A change of the question after which `label` is an answer."""

    label: str
    seq: int | None = None  # a shorter context
    limits: tuple[Limit, ...] = ()  # looser ones, in place of those of the same resource
    without: Wish | None = None  # a need that is given up
    finding: Finding | None = None  # what is then put up with
    cost: float  # how many times shorter, or looser

    @property
    def gives_up(self) -> frozenset[str]:
        kinds = [*(["seq"] if self.seq else []), *([self.without] if self.without else [])]
        return frozenset([*kinds, *(limit.resource for limit in self.limits)])


def max_context(one: Candidate, required: Requirements, maximum: int | None = None) -> MaxContext:
    """How far the candidate goes, up to `maximum` tokens."""

    def at(seq: int) -> Evaluation:
        return evaluate(one, seq, required)

    knots = _knots(one, required, maximum)
    seq = _longest(knots, at, lambda evaluation: evaluation.fits)
    after = _after(seq, knots)
    ends = None if after is None else at(after)
    return MaxContext(
        candidate=one,
        seq=seq,
        lower=_longest(knots, at, _surely),
        upper=_longest(knots, at, _perhaps),
        ends=ends if ends is None or _is_known(ends) else None,
    )


def max_contexts(candidates: Iterable[Candidate], required: Requirements) -> list[MaxContext]:
    """The one with the longest context first; those with none, last."""
    contexts = [max_context(one, required) for one in candidates]
    training = required.training

    def order(reach: MaxContext) -> tuple[object, ...]:
        quality = reach.candidate.quality
        return -(reach.seq or 0), quality.simplicity(training=training), reach.candidate.label

    return sorted(contexts, key=order)


def relaxations(choice: Choice) -> list[Relaxation]:
    """The nearest changes that make something fit, the smallest first, one of each kind."""
    lost = [one for one in choice.evaluations if not one.fits][:NEAREST]
    kept: list[Relaxation] = []
    for change in sorted(
        _changes(lost, choice), key=lambda change: (len(change.limits), change.cost)
    ):
        if not any(o.gives_up <= change.gives_up for o in kept if o.cost <= change.cost):
            kept.append(change)
    kept.sort(key=lambda change: (change.without is not None, change.cost))
    return kept[:MAX_RELAXATIONS]


def _changes(lost: Sequence[Evaluation], choice: Choice) -> Iterator[Relaxation]:
    for one in lost:
        yield from _shorter(one, choice)
        yield from _looser(one, choice)
    freed = freely(choice)
    if freed is not None:
        refusal = next(one.rejection for one in choice.evaluations if one.label == freed.label)
        wish: Wish = "exact" if refusal is not None and refusal.why == "exact" else "weights"
        yield Relaxation(label=freed.label, without=wish, cost=1.0)
    if (near := unproven(choice)) is not None:
        gives = next(one.rejection for one in choice.evaluations if one.label == near.label)
        given = next(task for task in TASKS if gives is not None and gives.why == task)
        finding = gives.finding if gives is not None else None
        yield Relaxation(label=near.label, without=given, finding=finding, cost=1.0)


def _shorter(one: Evaluation, choice: Choice) -> Iterator[Relaxation]:
    if one.candidate.rejection is None:
        seq = max_context(one.candidate, choice.required, choice.seq).seq
        if seq is not None:
            yield Relaxation(label=one.label, seq=seq, cost=choice.seq / seq)


def _looser(one: Evaluation, choice: Choice) -> Iterator[Relaxation]:
    confidence = choice.required.confidence
    broken = [headroom for headroom in one.headrooms if headroom.probability < confidence]
    if one.rejection is not None or not all(headroom.estimate for headroom in broken):
        return
    limits, cost = [], 0.0
    for headroom in broken:
        assert headroom.estimate is not None
        looser = replace(headroom.limit, max=headroom.estimate.within(confidence))
        limits.append(looser)
        cost = max(cost, looser.max / headroom.limit.max)
    yield Relaxation(label=one.label, limits=tuple(limits), cost=cost)


def freely(choice: Choice) -> Evaluation | None:
    """The best of what fits, and is refused because it is not exact, or must be trained."""
    freed = [
        evaluate(replace(one.candidate, rejection=None), choice.seq, choice.required)
        for one in choice.evaluations
        if one.rejection is not None and one.rejection.why in {"exact", "weights"}
    ]
    return ranked(freed, choice.seq, choice.required, choice.prefer).best


def unproven(choice: Choice) -> Evaluation | None:
    """The best of what fits, and is refused only because its quality is worse, or not known."""
    required = replace(choice.required, evidence={})
    freed = [
        evaluate(one.candidate, choice.seq, required)
        for one in choice.evaluations
        if one.rejection is not None and one.rejection.why in TASKS
    ]
    return ranked(freed, choice.seq, required, choice.prefer).best


def _knots(one: Candidate, required: Requirements, maximum: int | None) -> list[int]:
    """The lengths between which the curves run straight, and then powers of two of the last."""
    curves = [one.curves[limit.resource] for limit in required.limits]
    measured = {seq for curve in curves for seq in curve.seqs}
    measured |= {seq for seq, _ in one.failures}
    end = min((curve.longest for curve in curves if curve.seqs), default=0)
    knots, last = sorted(measured), max(measured, default=0)
    if min((len(curve.seqs) for curve in curves), default=0) > 1:
        parts = [knots[0] // number for number in SHORTER]
        knots = [*(part for part in parts if part), *knots]
    while last and last * 2 <= end:
        last *= 2
        knots.append(last)
    if maximum is not None:
        knots = [*(seq for seq in knots if seq < maximum), maximum]
    return knots


def _longest(knots: Sequence[int], at: Callable[[int], Evaluation], test: Test) -> int | None:
    """The length before the first at which the test fails."""
    if not knots or not test(at(knots[0])):
        return None
    for low, high in pairwise(knots):
        if not test(at(high)):
            return _bisected(low, high, at, test)
    return knots[-1]


def _bisected(low: int, high: int, at: Callable[[int], Evaluation], test: Test) -> int:
    """`low` passes and `high` does not: the last multiple of the grain that passes, or `low`."""
    grain = _grain(low)
    first, last = low // grain, -(-high // grain)
    while last - first > 1:
        middle = (first + last) // 2
        if middle * grain <= low or test(at(middle * grain)):
            first = middle
        else:
            last = middle
    return max(low, first * grain)


def _grain(seq: int) -> int:
    return GRAINS[seq >= 1024]


def _next(seq: int, knots: Sequence[int]) -> int:
    after = (seq // _grain(seq) + 1) * _grain(seq)
    return min(after, *(knot for knot in knots if knot > seq))


def _after(seq: int | None, knots: Sequence[int]) -> int | None:
    """The first length beyond; None where nothing is known so far from those that are."""
    if seq is None:
        return next(iter(knots), None)
    return None if seq >= knots[-1] else _next(seq, knots)


def _is_known(evaluation: Evaluation) -> bool:
    """Whether it is known why the candidate does not fit."""
    rejected = evaluation.rejection is not None and evaluation.rejection.why not in {
        "unmeasured",
        "far",
    }
    broken = any(h.estimate and h.probability < evaluation.confidence for h in evaluation.headrooms)
    return rejected or broken


def _surely(evaluation: Evaluation) -> bool:
    ends = [h.estimate is not None and h.estimate.high <= h.limit.max for h in evaluation.headrooms]
    return evaluation.fits and all(ends)


def _perhaps(evaluation: Evaluation) -> bool:
    ends = [h.estimate is not None and h.estimate.low <= h.limit.max for h in evaluation.headrooms]
    return evaluation.rejection is None and all(ends)
