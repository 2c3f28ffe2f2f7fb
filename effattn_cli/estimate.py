"""An amount that is known, or worked out, to within an interval; and the chance to keep a limit."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Basis = Literal["measured", "interpolated", "predicted"]

SIGMAS = 1.96  # from the middle to either end of a 95 % interval
#: No chance is more, or less, certain than this: a measurement is one machine on one day.
CERTAIN: dict[Basis, float] = {"measured": 0.999, "interpolated": 0.99, "predicted": 0.99}
_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Seconds, bytes or joules; the interval holds them 19 times in 20."""

    value: float
    low: float
    high: float
    basis: Basis
    sources: tuple[int, ...]  # the lengths whose values it came from
    growth: float | None = None  # the exponent of the length by which it was carried on
    known: bool = True  # the interval comes from samples, and is no guess
    busy: bool = False  # other processes kept the machine busy: a latency may be too high

    def chance(self, limit: float) -> float:
        """That the amount is at most `limit`, the logarithm falling off as a bell on each side."""
        most = CERTAIN[self.basis]
        distance = math.log(limit / self.value)
        spread = math.log(self.high / self.value if distance > 0 else self.value / self.low)
        if distance == 0:
            return 0.5
        chance = _NORMAL.cdf(SIGMAS * distance / spread) if spread > 0 else float(distance > 0)
        return min(max(chance, 1 - most), most)

    def within(self, chance: float) -> float:
        """The limit that is kept with this chance."""
        sigmas = _NORMAL.inv_cdf(chance)
        spread = math.log(self.high / self.value if sigmas > 0 else self.value / self.low)
        return self.value * math.exp(sigmas / SIGMAS * spread)

    def certainly(self, limit: float) -> bool:
        """Measured at this very length, and no end of the interval is above the limit."""
        return self.basis == "measured" and self.known and self.high <= limit
