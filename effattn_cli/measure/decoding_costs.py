"""The average costs of decoding steps that differ.

Between two boundaries of a block or a segment the cost of a step grows linearly, if it grows. So it
is counted at the boundaries, and between them at a few steps, and at more if these are not on a
straight line. This gives the sum over a period of hundreds of steps from about ten of them.
"""

from itertools import pairwise

from torch import Tensor

from effattn_cli.attention.decodable import tensors_of
from effattn_cli.measure.decoding import Decoding
from effattn_cli.measure.operator_counter import Counter
from effattn_cli.records import Cost

FEW = 5  # steps that are counted one by one
SUMMED = (
    "matmul_flops", "other_flops", "transcendentals", "read_bytes", "write_bytes", "operators",
)  # fmt: skip

Amounts = tuple[int, ...]  # of what is summed


def mean(decoding: Decoding, resident: tuple[Tensor, ...]) -> Cost:
    """The mean over the steps of a period, with the highest peak and the most FLOPs of a step.

    Raises:
        Uncountable: a step does something whose cost is not known.
    """
    steps = _Steps(decoding, resident)
    contexts = decoding.contexts
    period = len(contexts)
    if period == 1:
        return steps.cost(contexts[0])
    turns = [at for at in contexts if at % period in {0, period - 1}]
    bounds = sorted({contexts[0], *turns, contexts[-1]})
    total = _sum([steps.amounts(at) for at in bounds])
    for before, after in pairwise(bounds):
        if after - before > 1:
            total = _sum([total, steps.sum(before + 1, after - 1)])
    return Cost(
        **{name: round(amount / period) for name, amount in zip(SUMMED, total, strict=True)},
        peak_bytes=max(cost.peak_bytes for cost in steps.costs.values()),
        steps=period,
        worst_flops=max(cost.flops for cost in steps.costs.values()),
    )


class _Steps:
    """Counts single steps, each from the state before it."""

    def __init__(self, decoding: Decoding, resident: tuple[Tensor, ...]) -> None:
        self._decoding, self._resident = decoding, resident
        self.costs: dict[int, Cost] = {}  # by the number of tokens before the step

    def cost(self, context: int) -> Cost:
        if context not in self.costs:
            state = self._decoding.state(context)
            counter = Counter()
            counter.watch(*self._resident, *tensors_of(state))
            with counter:
                self._decoding.step(state)
            self.costs[context] = counter.cost
        return self.costs[context]

    def amounts(self, context: int) -> Amounts:
        cost = self.cost(context)
        return tuple(getattr(cost, name) for name in SUMMED)

    def sum(self, first: int, last: int) -> Amounts:
        """The sum over the steps from `first` to `last`."""
        number = last - first + 1
        if number <= FEW:
            return _sum([self.amounts(at) for at in range(first, last + 1)])
        if self._is_straight(first, last):
            ends = _sum([self.amounts(first), self.amounts(last)])
            return tuple(amount * number // 2 for amount in ends)
        middle = (first + last) // 2
        return _sum([self.sum(first, middle), self.sum(middle + 1, last)])

    def _is_straight(self, first: int, last: int) -> bool:
        """Whether the steps at a quarter, half and three quarters are on the line between the ends,
        and the steps next to the ends too.
        """
        far = last - first
        low, high = self.amounts(first), self.amounts(last)
        for off in (1, far // 4, far // 2, 3 * far // 4, far - 1):
            here = self.amounts(first + off)
            for amount, start, end in zip(here, low, high, strict=True):
                if amount * far != start * (far - off) + end * off:
                    return False
        return True


def _sum(amounts: list[Amounts]) -> Amounts:
    return tuple(map(sum, zip(*amounts, strict=True)))
