"""Latency: warm up until steady, then sample until the median is known well enough."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from effattn_cli.analyse.median import half_width
from effattn_cli.analyse.statistics import is_busy
from effattn_cli.attention import Layer
from effattn_cli.measure import calibration, heap, nvml
from effattn_cli.measure.clock import Block, block, overwriting
from effattn_cli.measure.energy import Meter
from effattn_cli.measure.load import ForeignLoad
from effattn_cli.measure.subject import build
from effattn_cli.records import Cell, Round, Sampling

WARM_SECONDS = 0.2  # warming up, at most; one call at least
WARM_CALLS = 50
STEADY = 0.05  # two calls in a row that differ by less than this are steady
# A heap that keeps what is freed still grows in the second call, or the third, where large blocks
# were not freed in the order in which they were taken: such calls took up to four times as long.
GROWING_CALLS = 6
FAULT = 2e-6  # seconds that a page costs which the system gives; 1 to 5 were seen
# An accelerator is waited for after so many calls, or after so many seconds of them: enough for it
# to have work at hand all the time, and too few to fill the queue in which it waits.
BLOCK_CALLS, BLOCK_SECONDS = 16, 0.01


def measure(variant: type[Layer], cell: Cell, sampling: Sampling) -> Round:
    """One round of samples in this process, which should be fresh."""
    faults: Callable[[], int] = int
    if cell.alloc == "retained" and cell.device == "cpu" and heap.retain_heap():
        faults = heap.faults
    subject = build(variant, cell, seed=sampling.seed)
    cold = cell.cache == "cold"
    time_some = block(cell.device, subject.call, overwriting(cell.device) if cold else None)
    most = 1 if cell.device == "cpu" else BLOCK_CALLS
    before = calibration.seconds(cell.device)
    meter = None if cold else Meter.start(cell.device)  # overwriting draws energy too
    found = sample(time_some, sampling, most, faults)
    if meter is not None:
        calls = found.warmup + len(found.samples)
        found = replace(found, joules=meter.joules(calls, found.median))
    if is_busy(found):
        found = _quieter(found, sample(time_some, sampling, most, faults))
    kernel = (before + calibration.seconds(cell.device)) / 2
    gpu = nvml.at_work(cell.device, subject.call, found.median)
    return replace(found, gpu=gpu, calibration=round(kernel, 9))


def _quieter(first: Round, again: Round) -> Round:
    """Of two tries the one beside less other load; the samples of the other one are kept apart."""
    if (again.foreign_load or 0.0) < (first.foreign_load or 0.0):
        return replace(
            again.instead_of(first), warmup=first.warmup, first_seconds=first.first_seconds
        )
    return first.instead_of(again)


def sample(
    time_some: Block, sampling: Sampling, most: int = 1, faults: Callable[[], int] = int
) -> Round:
    """Has the subject run and timed, in blocks of up to `most` calls, until it is enough.

    `faults` tells how many pages the process was given so far.
    """
    warm, growing = list[float](), True
    patience = sampling.time_limit / 4  # two tries have to end within it
    while _is_cold(warm) or (growing and len(warm) < GROWING_CALLS and sum(warm) < patience):
        before = faults()
        warm += time_some(1).seconds
        growing = (faults() - before) * FAULT > STEADY * warm[-1]
    size = _size(warm[-1], most)
    samples: list[float] = []
    launches: list[float] = []
    load, stopped = ForeignLoad(), ""
    while not stopped:
        times = time_some(min(size, sampling.max_samples - len(samples)))
        samples += [round(seconds, 9) for seconds in times.seconds]
        launches += times.launches
        stopped = _enough(samples, sum(samples), sampling)
    return Round(
        samples=tuple(samples),
        warmup=len(warm),
        first_seconds=round(warm[0], 9),
        stopped=stopped,
        foreign_load=load.cores(),
        launch=round(median(launches), 9) if launches else None,
    )


def _size(seconds: float, most: int) -> int:
    """Calls of a block: a power of two, so that sampling is looked at whenever it has doubled."""
    fitting = max(1, min(most, int(BLOCK_SECONDS / seconds) if seconds > 0 else most))
    return 1 << (fitting.bit_length() - 1)


def _is_cold(calls: Sequence[float]) -> bool:
    few = sum(calls) < WARM_SECONDS and len(calls) < WARM_CALLS
    return few and not _steady(calls)


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
