"""One variant for several lengths: a model that is trained with one cannot switch."""

import math
from collections.abc import Sequence

from effattn_cli.analysis.selection.ranking import Choice, Evaluation, ranked
from effattn_cli.estimate import Basis, Estimate

BASES: Sequence[Basis] = ("predicted", "interpolated", "measured")


def over(choices: Sequence[Choice]) -> Choice:
    """The choice of one for all lengths of `choices`, from the shortest on: it fits at each of
    them, and its amounts are the geometric means, so that no length counts more than another.
    """
    first = choices[0]
    at = [{one.label: one for one in choice.evaluations} for choice in choices]
    joined = [_joined([one[label] for one in at]) for label in at[0]]
    return ranked(joined, choices[-1].seq, first.required, first.prefer, first.scored)


def reaches(choices: Sequence[Choice], label: str) -> list[Choice]:
    """Those of the choices, up to the first at which it does not fit, where the variant does."""
    reached = []
    for choice in choices:
        if label not in {one.label for one in choice.fitting}:
            break
        reached.append(choice)
    return reached


def farthest(choices: Sequence[Choice]) -> Evaluation | None:
    """What fits at the most lengths from the first on; the better there, of several."""
    far: dict[str, int] = {}
    for one in choices[0].fitting:
        far[one.label] = len(reaches(choices, one.label))
    return max(choices[0].fitting, key=lambda one: far[one.label], default=None)


def _joined(ones: Sequence[Evaluation]) -> Evaluation:
    worst = zip(*(one.headrooms for one in ones), strict=True)
    costs = [one.cost for one in ones if one.cost is not None]
    common = set.intersection(*({*one.estimates} for one in ones))
    return Evaluation(
        candidate=ones[-1].candidate,  # with what is known of its quality at the longest
        rejection=next((one.rejection for one in ones if one.rejection is not None), None),
        estimates={
            name: _mean([one.estimates[name] for one in ones])
            for name in ones[0].estimates
            if name in common
        },
        headrooms=tuple(min(each, key=lambda h: (h.probability, -h.used)) for each in worst),
        confidence=ones[0].confidence,
        cost=_mean(costs) if len(costs) == len(ones) else None,
    )


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    def middle(values: Sequence[float]) -> float:
        return math.exp(math.fsum(map(math.log, values)) / len(values))

    return Estimate(
        value=middle([one.value for one in estimates]),
        low=middle([one.low for one in estimates]),
        high=middle([one.high for one in estimates]),
        basis=min((one.basis for one in estimates), key=BASES.index),
        sources=tuple(sorted({source for one in estimates for source in one.sources})),
        known=all(one.known for one in estimates),
        busy=any(one.busy for one in estimates),
    )
