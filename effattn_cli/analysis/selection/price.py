"""What a machine costs, and what a candidate on it costs for a million tokens."""

import math
from dataclasses import dataclass, replace

from effattn_cli.estimate import Estimate

TOKENS = 1_000_000
DIGITS = 3  # of an amount


@dataclass(frozen=True, kw_only=True)
class Price:
    """Of a machine. The currency is whatever was typed before or behind the number."""

    per_second: float
    before: str = ""  # "$"
    after: str = ""  # "EUR"
    typed: str = ""

    @property
    def currency(self) -> tuple[str, str]:
        return self.before, self.after

    def show(self, amount: float) -> str:
        """`$0.00151`, `0.00151 EUR`."""
        places = max(0, DIGITS - 1 - math.floor(math.log10(amount)))
        before = f"{self.before} " if self.before.isalpha() else self.before
        return f"{before}{amount:,.{places}f} {self.after}".rstrip()

    def cost(self, latency: Estimate, tokens: int) -> Estimate:
        """Of a million tokens, where a call takes so long and handles so many."""
        scale = self.per_second * TOKENS / tokens
        return replace(
            latency,
            value=latency.value * scale,
            low=latency.low * scale,
            high=latency.high * scale,
        )
