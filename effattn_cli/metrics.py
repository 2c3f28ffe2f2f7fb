"""What cells are measured and compared by, each metric declared once.

An entry of `METRICS` says how a metric is read from a record and from a single run, how well its
value is known, which way is better, and its words. Tables, comparisons, gates, crossovers, limits
and exports take it from here.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from effattn_cli import units
from effattn_cli.errors import unknown
from effattn_cli.estimate import SIGMAS, Estimate
from effattn_cli.quantities import parse_bytes, parse_joules, parse_seconds
from effattn_cli.records import RESIDENT, Cell, Record, Run
from effattn_cli.stats import variance
from effattn_cli.stats.median import interval
from effattn_cli.stats.student_t import t_ppf

#: What a latency of a single sample may be off by: medians of processes differ by up to a third.
UNKNOWN = 0.25
#: Allocators round, and the ways to find a peak agree to about this.
SAME = 0.01
COUNTED_PAGES = 1 << 20  # bytes that a resident size may be off by
#: A peak that was not measured: counted, and what kernels take beyond that as it was elsewhere.
COUNTED_PEAK = 0.1
LEAST = 1e-12  # of a value, so that every ratio is finite

Bounds = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Something that a cell takes or gives."""

    name: str  # as it is typed, and in documents
    also: tuple[str, ...] = ()  # other names that may be typed
    title: str
    column: str  # of an export, with the unit
    show: Callable[[float], str]
    value: Callable[[Record], float | None]
    #: The 95 % interval of a measured value, and whether it comes from samples; else it is a count.
    bounds: Callable[[Record, float], tuple[Bounds, bool]]
    #: What a single run of a cell says of it, where runs differ from one another by chance.
    reading: Callable[[Cell, Run], float | None] | None = None
    timed: bool = False  # it follows the speed of the machine
    is_predicted: Callable[[Record], bool] = lambda record: record.prediction is not None
    #: The interval of a predicted value.
    band: Callable[[Record, float], Bounds] = lambda _, value: (value, value)
    comparable: Callable[[Record, Record], bool] = lambda _old, _new: True
    better: str = "less"
    worse: str = "more"
    higher_is_better: bool = False
    primary: bool = True  # compared unasked; what is not is another view of one that is
    crosses: bool = True  # its crossover with the baseline is of interest
    parse: Callable[[str, str], float] | None = None  # an amount as it is typed, where one limits
    base: float = 10  # of the marks on an axis of a chart
    quantile: float | None = None  # of a latency

    @property
    def noisy(self) -> bool:
        """Whether it differs from one run to the next; the others are counts, or as good."""
        return self.reading is not None

    def read(self, record: Record) -> Estimate | None:
        """The record's own value, and how well it is known; None where there is none.

        It is kept with the record, which does not change: comparisons ask for it over and over.
        """
        kept: dict[str, Estimate | None] = vars(record).setdefault("estimates", {})
        if self.name not in kept:
            kept[self.name] = self._read(record)
        return kept[self.name]

    def _read(self, record: Record) -> Estimate | None:
        value = self.value(record) if record.failure is None else None
        if value is None:
            return None
        if self.is_predicted(record):
            assert record.prediction is not None
            low, high = self.band(record, value)
            sources = (record.prediction.anchor_seq,)
            return _estimate(value, (low, high), sources, predicted=True)
        bounds, known = self.bounds(record, value)
        busy = self.noisy and record.background_load is not None
        return _estimate(value, bounds, (record.cell.seq,), known=known, busy=busy)


def _estimate(
    value: float,
    bounds: Bounds,
    sources: tuple[int, ...],
    *,
    predicted: bool = False,
    known: bool = True,
    busy: bool = False,
) -> Estimate:
    return Estimate(
        value=value,
        low=max(min(bounds[0], value), LEAST),
        high=max(bounds[1], value),
        basis="predicted" if predicted else "measured",
        sources=sources,
        known=known,
        busy=busy,
    )


def _within(margin: float, *, known: bool = True) -> Callable[[Record, float], tuple[Bounds, bool]]:
    return lambda _, value: ((value * (1 - margin), value * (1 + margin)), known)


def latency_interval(record: Record) -> Bounds | None:
    """Where the record's latency lies; None where nothing is known of its spread.

    Measured: from the lowest to the highest end of the runs' own intervals, each the 95 % interval
    of that run's median, or all of its samples where they are fewer than six. So it holds what
    varies within a process and what varies from one process to the next. The extremes of three
    medians alone would enclose the true one only three times in four; a single run knows nothing
    beyond its own process. Predicted: the band that the prediction gives.
    """
    if record.failure is not None:
        return None
    if record.prediction is not None:
        return record.prediction.low, record.prediction.high
    if sum(len(run.samples) for run in record.runs) < 2:
        return None
    ends = [interval(run.samples) or (min(run.samples), max(run.samples)) for run in record.runs]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _latency_bounds(record: Record, value: float) -> tuple[Bounds, bool]:
    bounds = latency_interval(record)
    return (bounds, True) if bounds is not None else _within(UNKNOWN, known=False)(record, value)


def _latency_band(record: Record, _: float) -> Bounds:
    assert record.prediction is not None
    return record.prediction.low, record.prediction.high


def _peak_bounds(record: Record, value: float) -> tuple[Bounds, bool]:
    """A system counts pages of a process in batches; torch counts its bytes."""
    by_system = record.memory is not None and record.memory.method.startswith(RESIDENT)
    off = max(SAME * value, COUNTED_PAGES if by_system else 0)
    return (value - off, value + off), True


def _peak(record: Record) -> float | None:
    return record.peak_bytes


def _state(record: Record) -> float | None:
    return None if record.memory is None else record.memory.state_bytes


def _memory(record: Record) -> float | None:
    """A prediction does not know the state that decoding keeps."""
    if record.memory is not None:
        return record.memory.peak_bytes + record.memory.state_bytes
    return None if record.cell.setting.phase == "decode" else record.peak_bytes


def _has_no_memory_pass(record: Record) -> bool:
    return record.prediction is not None and record.memory is None


def _found_alike(old: Record, new: Record) -> bool:
    """Whether both peaks were measured, and in the same way."""
    return bool(old.memory and new.memory and old.memory.method == new.memory.method)


def _around_peak(_: Record, value: float) -> Bounds:
    return value * (1 - COUNTED_PEAK), value * (1 + COUNTED_PEAK)


def _flops(record: Record) -> float | None:
    return record.cost.flops if record.cost else None


def _joules(record: Record) -> float | None:
    """Median over the runs; None where one of them could not tell."""
    readings = [run.joules for run in record.runs if run.joules is not None]
    return median(readings) if readings and len(readings) == len(record.runs) else None


def _joules_bounds(record: Record, value: float) -> tuple[Bounds, bool]:
    """From what its runs differ by, drawn towards what runs usually differ by: a few say little."""
    readings = [run.joules or 0.0 for run in record.runs]
    if not all(readings):
        return _within(UNKNOWN, known=False)(record, value)
    own = variance.own([[math.log(joules) for joules in readings]])
    spread = variance.shrunken(own, variance.USUAL_VARIANCE)
    error = math.sqrt(spread.value * variance.factor_of_median(len(readings)))
    factor = math.exp(t_ppf(0.05, spread.dof) * error)
    return (value / factor, value * factor), len(readings) > 1


def _tokens_per_second(record: Record) -> float | None:
    seconds = record.seconds
    return None if not seconds else record.cell.tokens_per_call / seconds


def _throughput_bounds(record: Record, value: float) -> tuple[Bounds, bool]:
    seconds = record.cell.tokens_per_call / value
    (low, high), known = _latency_bounds(record, seconds)
    return (record.cell.tokens_per_call / high, record.cell.tokens_per_call / low), known


def _throughput_band(record: Record, _: float) -> Bounds:
    assert record.prediction is not None
    tokens = record.cell.tokens_per_call
    return tokens / record.prediction.high, tokens / max(record.prediction.low, LEAST)


def _of_samples(samples: Iterable[float], quantile: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered), max(1, math.ceil(quantile * len(ordered)))) - 1]


def _quantile_bounds(record: Record, quantile: float) -> tuple[Bounds, bool]:
    """The samples between which the quantile lies 19 times in 20; of too few the upper end cannot
    be known, and is said to be a guess.
    """
    samples = sorted(record.samples)
    middle = len(samples) * quantile
    spread = SIGMAS * math.sqrt(len(samples) * quantile * (1 - quantile))
    low, high = math.floor(middle - spread), math.ceil(middle + spread) + 1
    beyond = high > len(samples)
    top = samples[-1] * (1 + UNKNOWN) if beyond else samples[high - 1]
    return (samples[max(low, 1) - 1], max(top, record.worst_step or 0.0)), not beyond


def percentile(quantile: float) -> Metric:
    """The latency that such a share of the calls stays below: `p95`, from all samples.

    Samples of decoding steps that differ are means over a period: then no step is known to take
    longer than the worst one, and that stands for all percentiles.
    """

    def value(record: Record) -> float | None:
        if record.prediction is not None or not record.samples:
            return None
        return max(_of_samples(record.samples, quantile), record.worst_step or 0.0)

    name = f"p{100 * quantile:.10g}"
    return Metric(
        name=name, title=f"{name} latency", column=f"{name}_seconds", show=units.seconds,
        value=value, bounds=lambda record, _: _quantile_bounds(record, quantile),
        reading=lambda _, run: max(_of_samples(run.samples, quantile), run.worst_step or 0.0),
        timed=True, better="faster",
        worse="slower", primary=False, crosses=False, parse=parse_seconds, quantile=quantile,
    )  # fmt: skip


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="latency", title="latency", column="seconds", show=units.seconds,
            value=lambda record: record.seconds, bounds=_latency_bounds, band=_latency_band,
            reading=lambda _, run: run.median, timed=True, better="faster", worse="slower",
            parse=parse_seconds,
        ),
        Metric(
            name="peak", title="peak memory", column="peak_bytes", show=units.size, value=_peak,
            bounds=_peak_bounds, is_predicted=_has_no_memory_pass, band=_around_peak,
            comparable=_found_alike, base=2,
        ),
        Metric(
            name="state", title="state", column="state_bytes", show=units.size, value=_state,
            bounds=_within(SAME), is_predicted=lambda _: False, base=2,
        ),
        Metric(  # the footprint of a call: what must be free beside inputs and weights
            name="memory", title="memory", column="memory_bytes", show=units.size, value=_memory,
            bounds=_peak_bounds, is_predicted=_has_no_memory_pass, band=_around_peak,
            comparable=_found_alike, primary=False, crosses=False, parse=parse_bytes, base=2,
        ),
        Metric(
            name="flops", title="FLOPs", column="flops", show=units.count, value=_flops,
            bounds=_within(0.0), is_predicted=lambda _: False, crosses=False,
        ),
        Metric(
            name="energy", title="energy", column="joules", show=units.joules, value=_joules,
            bounds=_joules_bounds, is_predicted=lambda _: False,
            reading=lambda _, run: run.joules, parse=parse_joules,
        ),
        Metric(
            name="throughput", also=("tokens/s", "tokens-per-second"), title="throughput",
            column="tokens_per_second",
            show=lambda rate: f"{units.count(rate)} tokens/s", value=_tokens_per_second,
            bounds=_throughput_bounds, band=_throughput_band, timed=True, better="faster",
            worse="slower", reading=lambda cell, run: cell.tokens_per_call / run.median,
            higher_is_better=True, primary=False, crosses=False,
        ),
    )
}  # fmt: skip

LATENCY, PEAK, STATE, MEMORY, ENERGY = (
    METRICS[name] for name in ("latency", "peak", "state", "memory", "energy")
)
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")


def metric(name: str) -> Metric:
    """The metric of that name, or a percentile of the latency like `p95`.

    Raises:
        UsageError: there is none; the nearest is the hint.
    """
    match = _PERCENTILE.fullmatch(name)
    if match and float(match[1]) > 0:
        return percentile(float(match[1]) / 100)
    written = {other: one.name for one in METRICS.values() for other in (one.name, *one.also)}
    if name not in written:
        raise unknown("metric", name, [*written, "p95"])
    return METRICS[written[name]]


def wins(by: Metric, ratio: float) -> bool:
    """Whether the newer, or the first, of two values is the better one, `ratio` being it over the
    other.
    """
    return ratio > 1 if by.higher_is_better else ratio < 1
