"""How sure a record's latency is."""

from collections.abc import Iterable
from math import log
from statistics import quantiles

from effattn_cli.records import Record, Round
from effattn_cli.stats import median, variance

#: Cores that others keep busy from which on a latency is suspect: one busy core slows a cell of two
#: threads up to thirtyfold, and an idle system stays below this.
BUSY = 0.1
#: A fixed kernel that takes so many times its best of the sweep: the machine itself was slower, by
#: its clock, or by a neighbour on the same chip that no process of this machine shows.
SLOW = 1.2
#: What slows the cells by less is left as it is.
MATTERS = 1.1
#: Tukey's "far out": of normal samples one in 400,000 lies beyond it.
FAR = 3.0


def interval(record: Record) -> tuple[float, float] | None:
    """Where the record's latency lies; None where nothing is known of its spread.

    Measured: from the lowest to the highest end of the rounds' own intervals, each the 95 %
    interval of that round's median, or all of its samples where they are fewer than six. So it
    holds what varies within a process and what varies from one process to the next. The extremes of
    three medians alone would enclose the true one only three times in four; a single round knows
    nothing beyond its own process. Predicted: the band that the prediction gives.
    """
    if record.failure is not None:
        return None
    if record.prediction is not None:
        return record.prediction.low, record.prediction.high
    if sum(len(part.samples) for part in record.rounds) < 2:
        return None
    lows, highs = zip(*map(_round_interval, record.rounds), strict=True)
    return min(lows), max(highs)


def half_width(record: Record) -> float | None:
    """How far the interval's farther end is from the latency, relative to the latency."""
    found, seconds = interval(record), record.seconds
    if found is None or not seconds:
        return None
    return max(found[1] - seconds, seconds - found[0]) / seconds


def is_busy(part: Round) -> bool:
    """Whether other processes kept the machine busy during the round."""
    return part.foreign_load is not None and part.foreign_load >= BUSY


def foreign_load(record: Record) -> float | None:
    """The most cores that other processes kept busy during a round, where it was suspicious."""
    loads = [part.foreign_load or 0.0 for part in record.rounds if is_busy(part)]
    return max(loads, default=None)


def slow_rounds(records: Iterable[Record]) -> list[tuple[Record, int, float]]:
    """Rounds in which the machine itself was slower than at its best, and its cells with it: the
    record, the round's place in it, and how many times as long the fixed kernel took.

    None where the sweep shows that its cells hardly follow the kernel.
    """
    known = [
        (record, place, part.calibration)
        for record in records
        for place, part in enumerate(record.rounds)
        if part.calibration
    ]
    best: dict[str, float] = {}
    for record, _, seconds in known:
        best[record.cell.device] = min(best.get(record.cell.device, seconds), seconds)
    follows = {device: _follows(known, device) for device in best}
    return [
        (record, place, times)
        for record, place, seconds in known
        if (times := seconds / best[record.cell.device]) > SLOW
        and times ** follows[record.cell.device] > MATTERS
    ]


def _follows(known: Iterable[tuple[Record, int, float]], device: str) -> float:
    """How much of the kernel's slowness the cells of a device show; all where that is unknown."""
    visits: dict[int, list[tuple[float, float]]] = {}
    for record, place, seconds in known:
        if record.cell.device == device:
            latency = log(record.rounds[place].median)
            visits.setdefault(id(record), []).append((log(seconds), latency))
    found = variance.sensitivity([*visits.values()])
    return 1.0 if found is None else found.slope


def outliers(record: Record) -> tuple[float, ...]:
    """Samples beyond their round's quartiles by more than `FAR` times what lies between these.

    They are among the samples and count like any other. Fewer than eight samples have no outliers.
    """
    return tuple(sample for part in record.rounds for sample in _far(part))


def _far(part: Round) -> tuple[float, ...]:
    if len(part.samples) < 8:
        return ()
    low, _, high = quantiles(part.samples, n=4)
    reach = FAR * (high - low)
    return tuple(s for s in part.samples if not low - reach <= s <= high + reach)


def _round_interval(part: Round) -> tuple[float, float]:
    return median.interval(part.samples) or (min(part.samples), max(part.samples))
