"""Latency: warm up until steady, then sample until the median is known well enough."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from effattn_cli.analyse.median import half_width
from effattn_cli.analyse.statistics import is_busy
from effattn_cli.attention import Layer
from effattn_cli.measure import calibration, heap
from effattn_cli.measure.clock import timer
from effattn_cli.measure.energy import Meter
from effattn_cli.measure.load import ForeignLoad
from effattn_cli.measure.subject import build
from effattn_cli.records import Cell, Round, Sampling

WARM_SECONDS = 0.2  # warming up, at most; one call at least
WARM_CALLS = 50
STEADY = 0.05  # two calls in a row that differ by less than this are steady


def measure(variant: type[Layer], cell: Cell, sampling: Sampling) -> Round:
    """One round of samples in this process, which should be fresh."""
    if cell.alloc == "retained" and cell.device == "cpu":
        heap.retain_heap()
    subject = build(variant, cell, seed=sampling.seed)
    time_one = timer(cell.device)
    meter = Meter.start(cell.device)
    found = sample(lambda: time_one(subject.call), sampling)
    if meter is not None:
        found = replace(found, joules=meter.joules(found.warmup + len(found.samples)))
    if is_busy(found):
        found = _quieter(found, sample(lambda: time_one(subject.call), sampling))
    return replace(found, calibration=calibration.seconds(cell.device))


def _quieter(first: Round, again: Round) -> Round:
    """Of two tries the one beside less other load; the samples of the other one are kept apart."""
    if (again.foreign_load or 0.0) < (first.foreign_load or 0.0):
        return replace(
            again,
            contended=first.samples,
            warmup=first.warmup,
            first_seconds=first.first_seconds,
        )
    return replace(first, contended=again.samples)


def sample(time_one: Callable[[], float], sampling: Sampling) -> Round:
    """Calls `time_one`, which runs the subject once and gives its seconds, until it is enough."""
    warm = [time_one()]
    while sum(warm) < WARM_SECONDS and len(warm) < WARM_CALLS and not _steady(warm):
        warm.append(time_one())
    samples: list[float] = []
    load, spent, stopped = ForeignLoad(), 0.0, ""
    while not stopped:
        samples.append(round(time_one(), 9))
        spent += samples[-1]
        stopped = _enough(samples, spent, sampling)
    return Round(
        samples=tuple(samples),
        warmup=len(warm),
        first_seconds=round(warm[0], 9),
        stopped=stopped,
        foreign_load=load.cores(),
    )


def _steady(calls: Sequence[float]) -> bool:
    return len(calls) > 2 and abs(calls[-1] - calls[-2]) <= STEADY * calls[-2]


def _enough(samples: Sequence[float], spent: float, sampling: Sampling) -> str:
    """Why to stop, or nothing."""
    if spent >= sampling.seconds:
        return "time"
    if len(samples) >= sampling.max_samples:
        return "count"
    # The interval is looked at as samples double, not at each one: peeking finds luck, not rest.
    number = len(samples)
    if number >= sampling.min_samples and number & (number - 1) == 0:
        width = half_width(samples)
        return "steady" if width is not None and width <= sampling.precision else ""
    return ""
