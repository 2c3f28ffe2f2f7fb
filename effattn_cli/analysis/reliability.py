"""What speaks against a latency: its spread, outliers, a machine that was slower."""

from collections.abc import Iterable
from math import log
from statistics import quantiles

from effattn_cli.metrics import latency_interval
from effattn_cli.records import Record, Run
from effattn_cli.stats import variance

#: A fixed kernel that takes so many times its best of the sweep: the machine itself was slower, by
#: its clock, or by a neighbour on the same chip that no process of this machine shows.
SLOW = 1.2
#: What slows the cells by less is left as it is.
MATTERS = 1.1
#: Tukey's "far out": of normal samples one in 400,000 lies beyond it.
FAR = 3.0


def half_width(record: Record) -> float | None:
    """How far the interval's farther end is from the latency, relative to the latency."""
    ends, seconds = latency_interval(record), record.seconds
    if ends is None or not seconds:
        return None
    return max(ends[1] - seconds, seconds - ends[0]) / seconds


def slow_runs(records: Iterable[Record]) -> list[tuple[Record, int, float]]:
    """Runs in which the machine itself was slower than at its best, and its cells with it: the
    record, the run's place in it, and how many times as long the reference kernel took.

    None where the sweep shows that its cells hardly follow the kernel.
    """
    timed = [
        (record, index, run.calibration)
        for record in records
        for index, run in enumerate(record.runs)
        if run.calibration
    ]
    best: dict[str, float] = {}
    for record, _, seconds in timed:
        device = record.cell.setting.device
        best[device] = min(best.get(device, seconds), seconds)
    slopes = {device: _sensitivity(timed, device) for device in best}
    slow = []
    for record, index, seconds in timed:
        device = record.cell.setting.device
        times = seconds / best[device]
        if times > SLOW and times ** slopes[device] > MATTERS:
            slow.append((record, index, times))
    return slow


def _sensitivity(timed: Iterable[tuple[Record, int, float]], device: str) -> float:
    """How much of the kernel's slowness the cells of a device show; all where that is unknown."""
    runs: dict[int, list[tuple[float, float]]] = {}
    for record, index, seconds in timed:
        if record.cell.setting.device == device:
            latency = log(record.runs[index].median)
            runs.setdefault(id(record), []).append((log(seconds), latency))
    sensitivity = variance.sensitivity([*runs.values()])
    return 1.0 if sensitivity is None else sensitivity.slope


def outliers(record: Record) -> tuple[float, ...]:
    """Samples beyond their run's quartiles by more than `FAR` times what lies between these.

    They are among the samples and count like any other. Fewer than eight samples have no outliers.
    """
    return tuple(sample for run in record.runs for sample in _far(run))


def _far(run: Run) -> tuple[float, ...]:
    if len(run.samples) < 8:
        return ()
    low, _, high = quantiles(run.samples, n=4)
    reach = FAR * (high - low)
    return tuple(s for s in run.samples if not low - reach <= s <= high + reach)
