"""What is tested of a metric that has noise: a reading a round, of cells measured on both sides."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from effattn_cli.analyse import noise
from effattn_cli.analyse.noise import Pace
from effattn_cli.analyse.verdicts import Trial
from effattn_cli.records import Record, Round

#: What a round says of something; None where it does not know.
Reading = Callable[[Round], float | None]
Sides = tuple[list[float], list[float]]


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
        paces = [
            noise.pace([[*map(calibration, both[place][side].rounds)] for place in readings])
            for side in (0, 1)
        ]
        old_pace, new_pace = paces
        if old_pace and new_pace:
            slowdowns.append((len(readings), math.exp(new_pace.mean - old_pace.mean)))
        else:
            old_pace = new_pace = None
        pairs = [both[place] for place in readings]
        found |= zip(readings, _alike(pairs, [*readings.values()], old_pace, new_pace), strict=True)
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
    pairs: Sequence[tuple[Record, Record]],
    readings: Sequence[Sides],
    before: Pace | None,
    after: Pace | None,
) -> Iterator[Trial]:
    """The trials of cells that learn from one another how much processes differ."""
    logs = [(_logs(old, before), _logs(new, after)) for old, new in readings]
    owns = [noise.own(sides) for sides in logs]
    prior = noise.common(owns)
    for pair, (old, new), (mine, theirs), own in zip(pairs, readings, logs, owns, strict=True):
        yield Trial(
            old=median(old),
            new=median(new),
            shift=noise.shift(mine, theirs),
            spread=noise.drawn(own, prior),
            scale=noise.of_shift(len(mine), len(theirs)),
            shared=before.variance + after.variance if before and after else 0.0,
            identical=mine == theirs and pair[0].rounds == pair[1].rounds,
        )


def _logs(readings: Sequence[float], pace: Pace | None) -> list[float]:
    """A round each, less the machine's own slowness in it where that is known."""
    logs = [*map(math.log, readings)]
    return [log - slow for log, slow in zip(logs, pace.logs, strict=False)] if pace else logs
