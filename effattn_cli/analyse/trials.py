"""What is tested of a metric that has noise: a reading a round, of cells measured on both sides."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median

from effattn_cli.analyse import noise
from effattn_cli.analyse.noise import Pace
from effattn_cli.analyse.verdicts import Trial
from effattn_cli.records import Record, Round

#: What a round says of something; None where it does not know.
Reading = Callable[[Round], float | None]
Sides = tuple[list[float], list[float]]
Kernels = tuple[list[float | None], list[float | None]]


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
        paces = [noise.pace(each for pair in kernels for each in pair[side]) for side in (0, 1)]
        old_pace, new_pace = paces
        if old_pace and new_pace:
            slowdowns.append((len(readings), math.exp(new_pace.log - old_pace.log)))
            made = _alike(pairs, sides, _corrected(sides, kernels, old_pace, new_pace))
            shared = old_pace.variance + new_pace.variance
            made = (replace(trial, shared=shared) for trial in made)
        else:
            made = _alike(pairs, sides, [(_logs(old), _logs(new)) for old, new in sides])
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
    owns = [noise.own(sides) for sides in logs]
    prior = noise.common(owns)
    for pair, (old, new), (mine, theirs), own in zip(pairs, readings, logs, owns, strict=True):
        yield Trial(
            old=median(old),
            new=median(new),
            shift=noise.shift(mine, theirs),
            spread=noise.drawn(own, prior),
            scale=noise.of_shift(len(mine), len(theirs)),
            identical=mine == theirs and pair[0].rounds == pair[1].rounds,
        )


def _corrected(
    sides: Sequence[Sides], kernels: Sequence[Kernels], before: Pace, after: Pace
) -> list[Sides]:
    """Less the machine's own pace, and less what the cells show of the kernel's slowness beyond."""
    known = [
        [(math.log(kernel), math.log(reading))
         for kernel, reading in zip(each, readings, strict=True) if kernel is not None]
        for cell in zip(kernels, sides, strict=True)
        for each, readings in zip(*cell, strict=True)
    ]  # fmt: skip
    slope = noise.sensitivity([visits for visits in known if visits]) or 0.0

    def less(readings: list[float], each: Sequence[float | None], pace: Pace) -> list[float]:
        beyond = [0.0 if kernel is None else math.log(kernel) - pace.log for kernel in each]
        return [log - pace.log - slope * more
                for log, more in zip(_logs(readings), beyond, strict=True)]  # fmt: skip

    return [
        (less(old, old_kernels, before), less(new, new_kernels, after))
        for (old, new), (old_kernels, new_kernels) in zip(sides, kernels, strict=True)
    ]


def _logs(readings: Sequence[float]) -> list[float]:
    return [*map(math.log, readings)]
