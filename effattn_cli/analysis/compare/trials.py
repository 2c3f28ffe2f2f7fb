"""What is tested of a metric that has noise: a reading a round, of cells measured on both sides."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean, median

from effattn_cli.analysis.compare.verdicts import Trial
from effattn_cli.records import Record, Round
from effattn_cli.stats import variance

#: What a round says of something; None where it does not know.
Reading = Callable[[Round], float | None]
Sides = tuple[list[float], list[float]]
Kernels = tuple[list[float | None], list[float | None]]
#: A kernel that took more than twice its usual time was interrupted itself (in logarithms).
FARTHEST = 0.7


def trials(
    both: Sequence[tuple[Record, Record]],
    reading: Reading,
    calibration: Reading = lambda _: None,
) -> tuple[dict[int, Trial], float | None]:
    """By the place of the pair, where every round has a reading; and the machine's slowdown.

    A reading of 0 is none: it has no ratio to another.
    """
    alike: dict[object, dict[int, Sides]] = {}  # places that share a machine's speed and noise
    for place, (old, new) in enumerate(both):
        if old.status == new.status == "measured":
            before, after = _readings(old, reading), _readings(new, reading)
            if before and after:
                key = (new.cell.device, new.cell.threads)
                alike.setdefault(key, {})[place] = (before, after)
    found: dict[int, Trial] = {}
    slowdowns = []
    for readings in alike.values():
        pairs = [both[place] for place in readings]
        sides = [*readings.values()]
        kernels = [
            ([*map(calibration, old.rounds)], [*map(calibration, new.rounds)]) for old, new in pairs
        ]
        logs, shared, slowdown = _corrected(sides, kernels)
        if slowdown is not None:
            slowdowns.append((len(readings), slowdown))
        made = (replace(trial, shared=shared) for trial in _alike(pairs, sides, logs))
        found |= zip(readings, made, strict=True)
    return dict(sorted(found.items())), max(slowdowns)[1] if slowdowns else None


def _readings(record: Record, reading: Reading) -> list[float]:
    """Of all rounds, or none."""
    found = []
    for part in record.rounds:
        value = reading(part)
        if not value:
            return []
        found.append(value)
    return found


def _alike(
    pairs: Sequence[tuple[Record, Record]], readings: Sequence[Sides], logs: Sequence[Sides]
) -> Iterator[Trial]:
    """The trials of cells that learn from one another how much processes differ."""
    owns = [variance.own(sides) for sides in logs]
    prior = variance.common(owns)
    for pair, (old, new), (mine, theirs), own in zip(pairs, readings, logs, owns, strict=True):
        yield Trial(
            old=median(old),
            new=median(new),
            shift=variance.shift(mine, theirs),
            spread=variance.drawn(own, prior),
            scale=variance.of_shift(len(mine), len(theirs)),
            identical=mine == theirs and pair[0].rounds == pair[1].rounds,
        )


def _corrected(
    sides: Sequence[Sides], kernels: Sequence[Kernels]
) -> tuple[list[Sides], float, float | None]:
    """The logarithms, less as much of the machine's slowness in each visit as the cells show.

    With it the variance that all shifts share by what is not known of that, and the kernel's time
    in the new sweep over that in the old: None, and nothing is corrected, where a side has none.
    """
    logs = [(_logs(old), _logs(new)) for old, new in sides]
    before, after = (_flat(kernels, side) for side in (0, 1))
    if not before or not after:
        return logs, 0.0, None
    usual = median(before)
    slow: dict[float | None, float] = {None: 0.0}
    slow |= {each: _slowness(each / usual) for each in {*before, *after}}
    slowness = [([slow[each] for each in old], [slow[each] for each in new])
                for old, new in kernels]  # fmt: skip
    visits = [[*zip(*both, strict=True)]
              for cell in zip(slowness, logs, strict=True)
              for both in zip(*cell, strict=True)]  # fmt: skip
    known = variance.sensitivity(visits) or variance.UNKNOWN

    def less(side: list[float], slower: list[float]) -> list[float]:
        return [log - known.slope * more for log, more in zip(side, slower, strict=True)]

    corrected = [
        (less(old, first), less(new, then))
        for (old, new), (first, then) in zip(logs, slowness, strict=True)
    ]
    change = fmean(slow[each] for each in after) - fmean(slow[each] for each in before)
    return corrected, (known.error * change) ** 2, math.exp(change)


def _flat(kernels: Sequence[Kernels], side: int) -> list[float]:
    return [each for pair in kernels for each in pair[side] if each is not None]


def _slowness(times: float) -> float:
    return max(-FARTHEST, min(FARTHEST, math.log(times)))


def _logs(readings: Sequence[float]) -> list[float]:
    return [*map(math.log, readings)]
