"""In what order to take what fits, and what cannot be told apart.

By quality: the user's own scores, if there are any; else exact attention, which needs none; else,
of what keeps a model's weights, the measured error, and of what is trained published scores, as far
as they differ by more than they are unsure of. Nothing tells an approximation from what must be
trained. By speed, memory or cost: the amounts, as far as their intervals differ, then the measured
error. What is left is a tie, and goes to the simpler and then, where there are prices, to the
cheaper, or else to the faster.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from effattn_cli.analysis.selection.evidence import LEAST, Finding
from effattn_cli.analysis.selection.quality import SPREAD

if TYPE_CHECKING:
    from effattn_cli.analysis.selection.ranking import Evaluation

Preference = Literal["quality", "speed", "memory", "cost"]
#: What each of the others has the least of.
LEAST_OF = {"speed": "latency", "memory": "memory", "cost": "cost"}
Interval = tuple[float, float]  # where the value is; less is better
Tier = list["Evaluation"]
INFINITY = float("inf")
UNKNOWN = (-INFINITY, INFINITY)


def tiers(fits: Sequence["Evaluation"], prefer: Preference, *, training: bool) -> list[Tier]:
    """What fits, the best first; within a tier nothing known tells them apart."""
    if prefer == "quality":
        ranked = _by_quality(fits, training=training)
    else:
        resource = LEAST_OF[prefer]
        amounts = apart(fits, lambda one: one.interval(resource))
        ranked = [tier for some in amounts for tier in _by_error(some, training=training)]
    return [sorted(tier, key=lambda one: _adoption(one, training=training)) for tier in ranked]


def apart(
    items: Iterable["Evaluation"], interval: Callable[["Evaluation"], Interval]
) -> list[Tier]:
    """Groups from the best on, each of those that may be as good as the best that is left.

    That is the one whose upper end is the lowest, so that what gets better never falls behind.
    """
    left, groups = [(interval(one), one) for one in items], []
    while left:
        end = min(high for (_, high), _ in left)
        groups.append([one for (low, _), one in left if low <= end])
        left = [pair for pair in left if pair[0][0] > end]
    return groups


def _adoption(one: "Evaluation", *, training: bool) -> tuple[object, ...]:
    """The simpler first, then the cheaper, then the faster. Names decide where all is equal."""
    simplicity = one.candidate.quality.simplicity(training=training)
    amounts = (one.amount(resource) for resource in ("cost", "latency", "memory"))
    return simplicity, *amounts, one.label


def _by_quality(fits: Sequence["Evaluation"], *, training: bool) -> list[Tier]:
    exact = [one for one in fits if one.candidate.quality.exact]
    scores = [one.candidate.quality.score for one in exact]
    same = max((score for score in scores if score is not None), default=None)

    def score(one: "Evaluation") -> float | None:
        """Exact ones are one function: what holds for one of them holds for all."""
        return same if one.candidate.quality.exact else one.candidate.quality.score

    def own(one: "Evaluation") -> Interval:
        value = score(one)
        assert value is not None
        return -value, -value

    def published(one: "Evaluation") -> Interval:
        value = one.candidate.quality.published(training=training)
        return UNKNOWN if value is None else (-value - SPREAD / 2, SPREAD / 2 - value)

    unscored_exact = exact if same is None else []
    scored = [one for one in fits if score(one) is not None]
    rest = [one for one in fits if not one.candidate.quality.exact and score(one) is None]
    first = [unscored_exact] if unscored_exact else []
    return [*first, *apart(scored, own), *_by_error(rest, published, training=training)]


def _errors(one: "Evaluation") -> dict[int, Finding]:
    """Those that are known, by length; what was no approximation in so few tokens is not."""
    nearest = one.candidate.quality.error
    if nearest is None:
        return {}
    findings = [each for each in one.candidate.findings if each.task == "fidelity"]
    return {each.seq: each for each in findings if each.high >= LEAST or each is nearest}


def _by_error(
    items: Iterable["Evaluation"],
    trained: Callable[["Evaluation"], Interval] = lambda _: UNKNOWN,
    *,
    training: bool,
) -> list[Tier]:
    """What keeps a model's weights by its error, all else as `trained` says, side by side: the best
    of both cannot be told apart, and so on down. Errors are compared at the longest length at which
    all that are known were measured. Where there is none, an error in fewer tokens than others were
    tried with says only that it is no smaller: windows and the like are further off in more.
    """
    kept: Tier = []
    others: Tier = []
    for one in items:
        quality = one.candidate.quality
        is_kept = quality.keeps_weights and not quality.exact and not training
        (kept if is_kept else others).append(one)

    errors = {one.label: _errors(one) for one in kept}
    lengths = [set(by_length) for by_length in errors.values() if by_length]
    shared = set.intersection(*lengths) if lengths else set()
    longest = max(shared or set().union(*lengths), default=0)

    def error(one: "Evaluation") -> Interval:
        nearest = one.candidate.quality.error
        if nearest is None:
            return UNKNOWN
        finding = errors[one.label].get(longest, nearest)
        return finding.low, finding.high if finding.seq == longest else INFINITY

    none: Tier = []
    pairs = zip_longest(apart(kept, error), apart(others, trained), fillvalue=none)
    return [[*some, *more] for some, more in pairs]
