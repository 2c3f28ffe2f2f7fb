"""How far a budget reaches, and what to give up where nothing fits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from effattn_cli.analysis.selection.candidates import Contender, Limit, Needs
from effattn_cli.analysis.selection.ranking import Candidate, Choice, candidate

#: A length that was not measured is a multiple of so many tokens, of the second from 1k on.
GRAINS = (64, 256)
NEAREST = 20  # contenders that are asked what they would need
TOLD = 3  # relaxations
SHORTER = (16, 8, 4, 2)  # parts of the shortest measured length

Test = Callable[[Candidate], bool]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The longest context at which a contender keeps all limits."""

    contender: Contender
    seq: int | None  # None: at no length
    safe: int | None  # at which whole intervals are within the limits
    hopeful: int | None  # at which an end of each is
    ends: Candidate | None  # just beyond `seq`: what it would break; None where nothing is known

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
    inexact: bool = False  # without the wish for exact attention
    cost: float  # how many times shorter, or looser

    @property
    def gives_up(self) -> frozenset[str]:
        kinds = [word for word, given in (("seq", self.seq), ("exact", self.inexact)) if given]
        return frozenset([*kinds, *(limit.resource for limit in self.limits)])


def reach(one: Contender, needs: Needs, most: int | None = None) -> Reach:
    """How far the contender goes, up to `most` tokens."""

    def at(seq: int) -> Candidate:
        return candidate(one, seq, needs)

    knots = _knots(one, needs, most)
    seq = _longest(knots, at, lambda found: found.fits)
    after = None if seq is None or seq >= knots[-1] else at(_next(seq, knots))
    return Reach(
        contender=one,
        seq=seq,
        safe=_longest(knots, at, _safe),
        hopeful=_longest(knots, at, _hopeful),
        ends=after if after is None or _told(after) else None,
    )


def reaches(found: Iterable[Contender], needs: Needs) -> list[Reach]:
    """The one with the longest context first; those with none, last."""
    each = [reach(one, needs) for one in found]
    return sorted(each, key=lambda r: (-(r.seq or 0), r.contender.quality.order, r.contender.label))


def relaxations(choice: Choice) -> list[Relaxation]:
    """The nearest changes that make something fit, the smallest first, one of each kind."""
    lost = [one for one in choice.candidates if not one.fits][:NEAREST]
    found: list[Relaxation] = []
    for each in sorted(_changes(lost, choice), key=lambda each: (len(each.limits), each.cost)):
        if not any(other.gives_up <= each.gives_up for other in found if other.cost <= each.cost):
            found.append(each)
    return sorted(found, key=lambda each: (each.inexact, each.cost))[:TOLD]


def _changes(lost: Sequence[Candidate], choice: Choice) -> Iterator[Relaxation]:
    needs = choice.needs
    for one in lost:
        if one.contender.refusal is None:
            shorter = reach(one.contender, needs, choice.seq).seq
            if shorter is not None:
                yield Relaxation(label=one.label, seq=shorter, cost=choice.seq / shorter)
        broken = [margin for margin in one.margins if margin.chance < needs.confidence]
        if one.refusal is None and all(margin.estimate for margin in broken):
            limits = tuple(
                replace(margin.limit, most=margin.estimate.within(needs.confidence))
                for margin in broken
                if margin.estimate
            )
            cost = max(new.most / old.limit.most for new, old in zip(limits, broken, strict=True))
            yield Relaxation(label=one.label, limits=limits, cost=cost)
        if one.refusal is not None and one.refusal.why == "exact":
            free = replace(needs, exact=False)
            other = candidate(replace(one.contender, refusal=None), choice.seq, free)
            if other.fits:
                yield Relaxation(label=one.label, inexact=True, cost=1.0)


def _knots(one: Contender, needs: Needs, most: int | None) -> list[int]:
    """The lengths between which the curves run straight, and then powers of two of the last."""
    curves = [one.curves[limit.resource] for limit in needs.limits]
    measured = {seq for curve in curves for seq in curve.seqs}
    measured |= {seq for seq, _ in one.failures}
    end = min((curve.longest for curve in curves if curve.seqs), default=0)
    knots, last = sorted(measured), max(measured, default=0)
    if min((len(curve.seqs) for curve in curves), default=0) > 1:
        knots = [*(s for n in SHORTER if (s := knots[0] // n)), *knots]
    while last and last * 2 <= end:
        last *= 2
        knots.append(last)
    if most is not None:
        knots = [*(seq for seq in knots if seq < most), most]
    return knots


def _longest(knots: Sequence[int], at: Callable[[int], Candidate], test: Test) -> int | None:
    """The length before the first at which the test fails."""
    if not knots or not test(at(knots[0])):
        return None
    for low, high in pairwise(knots):
        if not test(at(high)):
            return _bisected(low, high, at, test)
    return knots[-1]


def _bisected(low: int, high: int, at: Callable[[int], Candidate], test: Test) -> int:
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


def _told(found: Candidate) -> bool:
    """Whether it is known why the candidate does not fit."""
    refused = found.refusal is not None and found.refusal.why not in {"unmeasured", "far"}
    broken = any(m.estimate and m.chance < found.confidence for m in found.margins)
    return refused or broken


def _safe(found: Candidate) -> bool:
    ends = [m.estimate is not None and m.estimate.high <= m.limit.most for m in found.margins]
    return found.fits and all(ends)


def _hopeful(found: Candidate) -> bool:
    ends = [m.estimate is not None and m.estimate.low <= m.limit.most for m in found.margins]
    return found.refusal is None and all(ends)
