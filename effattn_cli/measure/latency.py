"""Latency: warm up until steady, then sample until the median is precise enough."""

import time
from collections.abc import Callable, Sequence
from statistics import median

from msgspec.structs import replace

from effattn_cli.analysis.cost.time_estimate import WARM_SECONDS
from effattn_cli.attention import Layer
from effattn_cli.devices import nvml
from effattn_cli.devices.energy import Meter
from effattn_cli.devices.timing import Block, Times, block, overwriting
from effattn_cli.host import heap
from effattn_cli.host.background_load import BackgroundLoad
from effattn_cli.measure import copies, reference_kernel
from effattn_cli.measure.output_check import check
from effattn_cli.records import Cell, Run, Sampling
from effattn_cli.stats.median import half_width

WARM_CALLS = 50
STEADY = 0.05  # two consecutive calls that differ by less than this are steady
# A heap that retains freed memory still grows in the second or third call, if large blocks were not
# freed in the order in which they were allocated: such calls took up to four times as long.
GROWING_CALLS = 6
# After growing by gigabytes it can pause for a call, then grow again: two quiet calls are needed.
QUIET = 2
LARGE = 1 << 18  # pages per call: 1 GiB
ENOUGH = 0.9  # of the time limit: the rest is for building the subject
FAULT = 2e-6  # seconds per page fault; 1 to 5 microseconds were seen
# An accelerator is synchronised after this many calls, or after this many seconds of them: enough
# to keep it busy, and too few to fill its launch queue.
BLOCK_CALLS, BLOCK_SECONDS = 16, 0.01


def measure(variant: type[Layer], cell: Cell, sampling: Sampling) -> Run:
    """A run of the cell in this process, which should be new."""
    started = time.monotonic()
    faults: Callable[[], int] = int
    device = cell.setting.device
    if cell.setting.alloc == "retained" and device == "cpu" and heap.retain_heap():
        faults = heap.faults
    subjects = copies.made(variant, cell, seed=sampling.seed)
    overwrites = cell.setting.cache == "cold" and not cell.setting.takes_turns
    call = copies.in_turn(subjects)
    time_some = block(device, call, overwriting(device) if overwrites else None)
    periods = Periods(time_some, subjects[0].steps, len(subjects))
    max_calls = 1 if device == "cpu" else BLOCK_CALLS
    before = reference_kernel.seconds(device)
    # Overwriting the cache draws energy, too. A GPU's counter takes long: under a budget, more
    # cells are worth more.
    counted = not overwrites and (device == "cpu" or sampling.time_budget is None)
    meter = Meter.start(device) if counted else None
    run = periods.per_call(sample(periods.time, sampling, max_calls, faults))
    if meter is not None:
        _until_counted(meter, periods, _size(run.median, max_calls))
        run = replace(run, joules=meter.joules(periods.calls, run.median))
    spent = time.monotonic() - started
    if run.is_busy and spent < sampling.time_limit / 2:  # the heap has grown by now
        run = _quieter(run, periods.per_call(sample(periods.time, sampling, max_calls)))
    for subject in subjects:
        check(subject.call(), cell, subject.width)  # after many calls, which may have corrupted it
    kernel = (before + reference_kernel.seconds(device)) / 2
    gpu = nvml.at_work(device, call, run.median)
    return replace(run, gpu=gpu, calibration=round(kernel, 9))


def _until_counted(meter: Meter, periods: "Periods", size: int) -> None:
    """More blocks of calls, which are no samples, until the counter has moved by many steps."""
    while meter.missing():
        periods.time(size)


class Periods:
    """Times periods of calls whose work differs; a sample is the mean over one period.

    If a subject has `copies`, which are called in turn, each of them has done each of its `steps`
    by the end of a period.
    """

    def __init__(self, time_some: Block, steps: int, copies: int = 1) -> None:
        self._time_some, self.steps, self._copies = time_some, steps, copies
        self._size = steps * copies
        self.calls = 0
        self._first: float | None = None
        self._worst: list[float] = []  # the longest step of each period

    def time(self, count: int) -> Times:
        """The seconds of `count` periods."""
        times = self._time_some(count * self._size)
        self.calls += count * self._size
        if self._first is None:
            self._first = times.seconds[0]
        if self._size == 1:
            return times
        periods = _parts(times.seconds, self._size)
        self._worst += (max(self._of_steps(period)) for period in periods)
        launches = map(sum, _parts(times.launches, self._size))
        return Times([*map(sum, periods)], [*launches])

    def _of_steps(self, period: Sequence[float]) -> list[float]:
        """The seconds of each step, averaged over the copies."""
        return [sum(turn) / self._copies for turn in _parts(period, self._copies)]

    def per_call(self, run: Run) -> Run:
        """Converts a run whose samples are periods to one whose samples are calls."""
        if self._size == 1:
            return run
        worst = self._worst[-len(run.samples) :]
        return replace(
            run,
            samples=tuple(round(seconds / self._size, 9) for seconds in run.samples),
            launch=None if run.launch is None else round(run.launch / self._size, 9),
            warmup=run.warmup * self._size,
            first_seconds=round(self._first or run.first_seconds, 9),
            worst_step=round(median(worst), 9) if self.steps > 1 else None,
        )


def _parts(items: Sequence[float], size: int) -> list[Sequence[float]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _quieter(first: Run, again: Run) -> Run:
    """The run with less background load; the samples of the other one are kept separately."""
    if (again.background_load or 0.0) < (first.background_load or 0.0):
        return replace(
            again.superseding(first), warmup=first.warmup, first_seconds=first.first_seconds
        )
    return first.superseding(again)


def sample(
    time_some: Block, sampling: Sampling, max_calls: int = 1, faults: Callable[[], int] = int
) -> Run:
    """Runs and times the subject, in blocks of up to `max_calls` calls, until it is enough.

    `faults` returns the number of page faults of the process so far.
    """
    warm, quiet, large = list[float](), 0, False
    while _is_cold(warm) or _may_grow(warm, quiet, sampling, large=large):
        before = faults()
        warm += time_some(1).seconds
        pages = faults() - before
        quiet = 0 if pages * FAULT > STEADY * warm[-1] else quiet + 1
        large = large or pages > LARGE
    size = _size(warm[-1], max_calls)
    samples: list[float] = []
    launches: list[float] = []
    load, stopped = BackgroundLoad(), ""
    while not stopped:
        times = time_some(min(size, sampling.max_samples - len(samples)))
        samples += [round(seconds, 9) for seconds in times.seconds]
        launches += times.launches
        stopped = _enough(samples, sum(samples), sampling)
    return Run(
        samples=tuple(samples),
        warmup=len(warm),
        first_seconds=round(warm[0], 9),
        stopped=stopped,
        background_load=load.cores(),
        launch=round(median(launches), 9) if launches else None,
    )


def _size(seconds: float, max_calls: int) -> int:
    """Calls of a block: a power of two, so that samples are checked whenever they have doubled."""
    fitting = max(1, min(max_calls, int(BLOCK_SECONDS / seconds) if seconds > 0 else max_calls))
    return 1 << (fitting.bit_length() - 1)


def _may_grow(calls: Sequence[float], quiet: int, sampling: Sampling, *, large: bool) -> bool:
    """Whether the heap was still growing in the last call, or may grow after a pause, and there is
    time for one more call and a sample.
    """
    spent = sum(calls) + 2 * calls[-1]
    tried = len(calls) >= GROWING_CALLS or spent > ENOUGH * sampling.time_limit
    return not tried and quiet < (QUIET if large else 1)


def _is_cold(calls: Sequence[float]) -> bool:
    few = sum(calls) < WARM_SECONDS and len(calls) < WARM_CALLS
    return few and not _steady(calls)


def _steady(calls: Sequence[float]) -> bool:
    return len(calls) > 2 and abs(calls[-1] - calls[-2]) <= STEADY * calls[-2]


def _enough(samples: Sequence[float], spent: float, sampling: Sampling) -> str:
    """The reason to stop, or an empty string."""
    if spent >= sampling.seconds:
        return "time"
    if len(samples) >= sampling.max_samples:
        return "count"
    # Checked only as samples double: checking at each one would stop at a lucky interval.
    number = len(samples)
    if number >= sampling.min_samples and number & (number - 1) == 0:
        width = half_width(samples)
        return "steady" if width is not None and width <= sampling.precision else ""
    return ""
