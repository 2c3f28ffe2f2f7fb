"""An amount known or worked out to within an interval, and how likely it keeps a limit."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Basis = Literal["measured", "interpolated", "predicted"]

SIGMAS = 1.96  # from the middle to either end of a 95 % interval
#: No probability is nearer to 1, or to 0, than this: a measurement is one machine on one day.
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
    exponent: float | None = None  # the exponent of the length by which it was carried on
    known: bool = True  # the interval comes from samples, and is no guess
    busy: bool = False  # other processes kept the machine busy: a latency may be too high

    def probability(self, limit: float) -> float:
        """That the amount is at most `limit`, the logarithm being normal on either side."""
        maximum = CERTAIN[self.basis]
        distance = math.log(limit / self.value)
        spread = math.log(self.high / self.value if distance > 0 else self.value / self.low)
        if distance == 0:
            return 0.5
        at_most = _NORMAL.cdf(SIGMAS * distance / spread) if spread > 0 else float(distance > 0)
        return min(max(at_most, 1 - maximum), maximum)

    def within(self, probability: float) -> float:
        """The limit that is kept with this probability."""
        sigmas = _NORMAL.inv_cdf(probability)
        spread = math.log(self.high / self.value if sigmas > 0 else self.value / self.low)
        return self.value * math.exp(sigmas / SIGMAS * spread)

    def certainly(self, limit: float) -> bool:
        """Measured at this very length, and no end of the interval is above the limit."""
        return self.basis == "measured" and self.known and self.high <= limit
