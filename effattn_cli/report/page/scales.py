"""The maths of charts: logarithmic scales, their ticks, labels that do not overlap. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

NARROWEST = 4.0  # an axis spans this factor at least, so that noise does not look like a trend
BEYOND = 3.0  # how far an axis follows intervals beyond the values, as a factor

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Scale:
    """From values to pixels, logarithmic; what lies beyond its ends is drawn at the end."""

    low: float
    high: float
    start: float  # the pixel of `low`
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        part = math.log(inside / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)


def spanning(values: Iterable[float], bounds: Iterable[float], start: float, end: float) -> Scale:
    """A scale over all values, and over the ends of their intervals as far as these are near.

    Values must be above 0, and there must be one.
    """
    there = list(values)
    low, high = min(there), max(there)
    ends = [end for end in bounds if low / BEYOND <= end <= high * BEYOND]
    low, high = min([low, *ends]), max([high, *ends])
    lacking = max(1.0, NARROWEST / (high / low)) ** 0.5
    pad = (high / low * lacking**2) ** 0.04
    return Scale(low / lacking / pad, high * lacking * pad, start, end)


def ticks(scale: Scale, base: float, max_ticks: int = 7) -> list[float]:
    """Round values within the scale, `max_ticks` or fewer: powers of 10 or of 2, and 2 and 5 times
    the powers of 10 where these are few.

    >>> ticks(Scale(0.0009, 0.2, 0, 1), 10)
    [0.001, 0.01, 0.1]
    >>> ticks(Scale(0.0009, 0.012, 0, 1), 10)
    [0.001, 0.002, 0.005, 0.01]
    >>> ticks(Scale(1000, 70000, 0, 1), 2)
    [1024, 2048, 4096, 8192, 16384, 32768, 65536]
    """
    first = math.ceil(math.log(scale.low, base) - 1e-9)
    last = math.floor(math.log(scale.high, base) + 1e-9)
    stride = max(1, math.ceil((last - first + 1) / max_ticks))
    powers = [power for power in range(first, last + 1) if power % stride == 0]
    if base == 2 or len(powers) > 2:
        return [_power(base, power) for power in powers]
    every = [m * _power(base, power) for power in range(first - 1, last + 1) for m in (1, 2, 5)]
    return [float(f"{value:.6g}") for value in every if scale.low <= value <= scale.high]


def _power(base: float, power: int) -> float:
    return int(base**power) if power >= 0 else float(f"1e{power}") if base == 10 else base**power


def thinned(places: Sequence[float], gap: float) -> list[int]:
    """Which of the places, in rising order, can be labelled: the last one, and then every one that
    is `gap` away from the next.
    """
    kept: list[int] = []
    for index in reversed(range(len(places))):
        if not kept or places[kept[-1]] - places[index] >= gap:
            kept.append(index)
    return kept[::-1]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, `gap` apart and between `low` and `high`.

    Where there is no room for all, the gaps shrink evenly.

    >>> spread([10, 11, 50], 15, 0, 60)
    [10, 25, 50]
    >>> spread([58, 59], 15, 0, 60)
    [45, 60]
    """
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = [0.0] * len(wanted)
    lowest = low
    for index in order:
        places[index] = max(wanted[index], lowest)
        lowest = places[index] + gap
    highest = high
    for index in reversed(order):
        places[index] = min(places[index], highest)
        highest = places[index] - gap
    return places


def placed(
    points: Sequence[tuple[float, float]], widths: Sequence[float], height: float, within: Box
) -> list[tuple[float, float] | None]:
    """Where a label of each point begins (its left end, its middle), beside the point; None where
    every place is taken. The earlier points choose first.
    """
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    places: list[tuple[float, float] | None] = []
    for (x, y), width in zip(points, widths, strict=True):
        choice = None
        for left, middle in _beside(x, y, width, height):
            box = (left, middle - height / 2, left + width, middle + height / 2)
            if _inside(box, within) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                choice = left, middle
                break
        places.append(choice)
    return places


def _beside(x: float, y: float, width: float, height: float) -> Iterator[tuple[float, float]]:
    for away in (0.0, 0.9, 1.8, 2.7, 3.6, 4.8):
        for up in (0.0,) if not away else (-away, away):
            yield x + 9, y + up * height
            yield x - 9 - width, y + up * height
        if away:
            yield x - width / 2, y - away * height
            yield x - width / 2, y + away * height


def _inside(box: Box, within: Box) -> bool:
    return (
        box[0] >= within[0] and box[1] >= within[1] and box[2] <= within[2] and box[3] <= within[3]
    )


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
