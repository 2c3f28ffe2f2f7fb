"""What speaks for a variant's quality: scores that a profile holds, then what its card says.

Nothing here was measured by effattn.

Exact attention comes first. Of the others, those that the profile has a score of are ordered by it;
then those with a published Long Range Arena average, by that; those without any come last,
approximations of softmax before mechanisms of their own. A published score belongs to its authors'
settings: with other options a variant comes after its defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from effattn_cli.cards import Card, Kind, Value

SOURCE = "arXiv:2011.04006, Table 1"
#: The nearer to exact attention, the earlier.
KINDS: tuple[Kind, ...] = ("exact", "approximates softmax", "own mechanism", "feed-forward")


@dataclass(frozen=True, kw_only=True)
class Quality:
    kind: Kind
    lra: float | None  # the average, in percent
    usual: bool  # every option is as the authors have it
    score: float | None = None  # of the profile's own, for this label: more is better

    @property
    def exact(self) -> bool:
        return self.kind == "exact"

    @property
    def order(self) -> tuple[float, ...]:
        """Sorts the best first; where nothing is known this is a convention, not a claim."""
        if self.exact:
            return (0.0,)
        own, published = (0.0 if value is None else -value for value in (self.score, self.lra))
        ranks = (self.score is None, own, self.lra is None, published)
        return (1.0, *ranks, KINDS.index(self.kind), not self.usual)

    def at_least(self, other: "Quality") -> bool:
        """Whether there is evidence that it is no worse."""
        if self.exact:
            return True
        if self.score is not None and other.score is not None:
            return not other.exact and self.score >= other.score
        scored = self.lra is not None and other.lra is not None and not other.exact
        return scored and self.usual and (self.lra or 0.0) >= (other.lra or 0.0)


def quality(card: Card, options: Mapping[str, Value], score: float | None) -> Quality:
    return Quality(kind=card.kind, lra=card.lra, usual=not options, score=score)
