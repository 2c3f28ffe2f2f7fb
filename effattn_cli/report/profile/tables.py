"""The tables of a profile: one for each setting, a row for each variant and length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.cost.roofline_checks import IMPLAUSIBLE
from effattn_cli.analysis.crossover.crossing import Comparison, compare
from effattn_cli.analysis.series import Series, by_setting
from effattn_cli.metrics import LATENCY, METRICS, PEAK, STATE, Metric
from effattn_cli.records import Profile, Record, Roofline
from effattn_cli.report import phrases
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.report.profile import footnotes, gpu_notes

Field = tuple[Column, Callable[[Record], Text]]

BEYOND = 1.05  # of a roofline: more than what differs from one measurement to the next


def tables(profile: Profile) -> Lines:
    """Every cell of the profile; marks are explained below where they occur."""
    shown: list[RenderableType] = []
    for title, grid in grids(profile):
        shown += [Text(title, "bold"), grid, Text()]
    return Lines(*shown, *(Text(line, "dim") for line in notes(profile)))


def grids(profile: Profile) -> Iterator[tuple[str, Grid]]:
    """The table of each setting, and its title."""
    for part in _parts(profile):
        yield part.series.setting.title, part.grid()


def notes(profile: Profile) -> Iterator[str]:
    """Where the numbers are from, what the marks in the tables mean, and the warnings."""
    yield phrases.origin(profile)
    yield from _legend(_parts(profile))
    yield from footnotes.lines(profile.records)


def _parts(profile: Profile) -> "list[_Table]":
    return [
        _Table(series, profile.baseline, profile.rooflines)
        for series in by_setting(profile.records)
    ]


@dataclass(frozen=True)
class _Table:
    series: Series
    wanted: str | None  # the profile's baseline
    rooflines: tuple[Roofline, ...] = ()

    @property
    def baseline(self) -> str | None:
        """None where there is nothing to compare, or nothing to compare it with."""
        labels = self.series.labels
        return self.wanted if self.wanted in labels and len(labels) > 1 else None

    def grid(self) -> Grid:
        fields = list(self._fields())
        return Grid([column for column, _ in fields], list(self._rows(fields)))

    def _rows(self, fields: list[Field]) -> Iterator[Row]:
        labels = sorted(self.series.labels, key=lambda label: label != self.baseline)
        for seq in self.series.seqs:
            there = [record for label in labels if (record := self.series.find(label, seq))]
            for index, record in enumerate(there):
                cells = [make(record) for _, make in fields]
                cells[0] = cells[0] if index == 0 else Text()
                if record.failure is not None:
                    before = 1 + [column.title for column, _ in fields].index("variant")
                    cells[before:] = [Text(phrases.reason(record.failure), "red")]
                yield Row(cells=tuple(cells), opens=index == 0 and len(labels) > 1)

    def _fields(self) -> Iterator[Field]:
        setting = self.series.setting
        seq = "context" if setting.phase == "decode" else "seq"
        yield Column(title=seq, right=True), lambda r: Text(units.length(r.cell.seq))
        if not setting.batch:
            yield Column(title="batch", right=True), lambda r: Text(str(r.cell.setting.batch))
        yield Column(title="variant", folds=1), lambda r: Text(units.clean(r.cell.label))
        yield Column(title="latency", right=True), _latency
        interval = Column(title="", tight=True, extra=1)
        yield interval, lambda r: Text("!" * footnotes.is_wide(r) + phrases.plus_minus(r), "dim")
        if self.baseline:
            yield self._against(LATENCY)
        yield Column(title="peak", right=True), _peak
        if self.baseline:
            yield self._against(PEAK)
        decode = setting.phase == "decode"
        if decode:
            yield _extra("state", _state, 1)
        if self.rooflines:
            yield _extra("roofline", self._utilisation, 2 if decode else 1)
        yield _extra("GFLOP/s", _throughput, 2 if decode or self.rooflines else 1)
        yield _extra("tokens/s", _tokens, 2)
        if any(gpu_notes.launch(record) is not None for record in self.series.records):
            yield _extra("launch", gpu_notes.launched, 2)
        yield _extra("min … max", _range, 2)

    def _utilisation(self, record: Record) -> str:
        used = utilisation.utilisation(record, self.rooflines)
        if used is None:
            return ""
        roofline = utilisation.of(record.cell.setting, self.rooflines)
        mark = "!" if used.fraction > BEYOND or (roofline is not None and roofline.doubts) else ""
        return f"{mark}{units.percent(used.fraction)} {used.bound}"

    def doubts(self) -> Iterator[str]:
        """Of the roofline that the cells run under, where it is shown."""
        for record in self.series.records:
            roofline = utilisation.of(record.cell.setting, self.rooflines)
            if roofline is not None and self._utilisation(record):
                yield from roofline.doubts

    def fraction(self, record: Record) -> float:
        """Of the roofline; 0 where nothing is known."""
        used = utilisation.utilisation(record, self.rooflines)
        return 0.0 if used is None else used.fraction

    def _against(self, metric: Metric) -> Field:
        name = units.clean(self.baseline or "")
        title = f"vs {name if len(name) <= 8 else 'base'}"
        column = Column(title=title, right=True, extra=int(metric is PEAK))
        return column, lambda record: self._ratio(record, metric)

    def _ratio(self, record: Record, metric: Metric) -> Text:
        if record.cell.label == self.baseline:
            return Text("1" if phrases.value(record, metric) else "")
        comparison = self.comparison(record, metric)
        return Text() if comparison is None else _versus(comparison, metric)

    def comparison(self, record: Record, metric: Metric) -> Comparison | None:
        """The record against the baseline; None for the baseline itself."""
        label = record.cell.label
        other = self.series.find(self.baseline or "", record.cell.seq)
        if other is None or label == self.baseline:
            return None
        return compare(record, other, metric)


def _versus(comparison: Comparison, metric: Metric) -> Text:
    """`6.1x faster`, with `~` where a prediction is in it and `?` where the intervals overlap."""
    close = comparison.ordering == "close"
    if not metric.noisy and close:
        return Text("same")
    better = comparison.ratio > 1
    larger = comparison.ratio if better else 1 / comparison.ratio
    if close and larger < 1.05:
        times = "1.0x"
    else:
        times = f"{units.ratio(larger)} {metric.better if better else metric.worse}"
    mark = ("~" if comparison.predicted else "") + ("?" if close else "")
    colour = {"better": "green", "worse": "yellow", "close": ""}[comparison.ordering]
    return Text(mark + times, "dim" if comparison.predicted else colour)


def _extra(title: str, make: Callable[[Record], str], extra: int) -> Field:
    return Column(title=title, right=True, extra=extra), lambda record: Text(make(record))


def _latency(record: Record) -> Text:
    mark = "!" if _is_busy(record) else ""
    style = "dim" if LATENCY.is_predicted(record) else "bold"
    return Text(mark + phrases.value(record, LATENCY) or "-", style)


def _is_busy(record: Record) -> bool:
    return record.status == "measured" and record.background_load is not None


def _peak(record: Record) -> Text:
    style = "dim" if PEAK.is_predicted(record) else ""
    return Text(phrases.value(record, PEAK) or "-", style)


def _state(record: Record) -> str:
    return phrases.value(record, STATE)


def _throughput(record: Record) -> str:
    if record.status != "measured" or record.cost is None or not record.seconds:
        return ""
    rate = record.cost.flops / record.seconds / 1e9
    return f"{rate:.3g}" if rate < 100 else f"{rate:.0f}"


def _tokens(record: Record) -> str:
    rate = METRICS["throughput"].value(record) if record.status == "measured" else None
    return "" if rate is None else units.count(rate)


def _range(record: Record) -> str:
    if record.status != "measured":
        return ""
    return f"{units.seconds(min(record.samples))} … {units.seconds(max(record.samples))}"


def _beyond(parts: Iterable[_Table]) -> Iterator[str]:
    """What is said of cells that are faster than their device can be.

    A little, or as much as the baseline, of which it is known what it does, or beside other load:
    the device was slower when its roofline was measured. Much more: the variant does not do what
    was counted.
    """
    clean: dict[str, float] = {}  # how far at most, by label, where no other load was seen
    busy: set[str] = set()
    usual = 1.0
    for part in parts:
        for record in part.series.records:
            fraction, label = part.fraction(record), record.cell.label
            if fraction > BEYOND and _is_busy(record):
                busy.add(label)
            elif fraction > BEYOND:
                clean[label] = max(fraction, clean.get(label, 0.0))
        usual = max(usual, clean.get(part.baseline or "", 0.0))
    far = {label: maximum for label, maximum in clean.items() if maximum > IMPLAUSIBLE * usual}
    for label, maximum in far.items():
        yield (
            f"implausible: {units.clean(label)} is up to {maximum:.3g} times as fast as this device"
            " can do what was counted; look at what it computes: effattn check"
        )
    if busy | clean.keys() > far.keys():
        yield (
            "! roofline above 100 %: it was measured while this machine was slower;"
            " effattn devices --refresh"
        )


def _legend(parts: Sequence[_Table]) -> Iterator[str]:
    """A line for each mark that occurs."""
    pairs = [(part, record) for part in parts for record in part.series.records]
    records = [record for _, record in pairs]
    if any(phrases.plus_minus(record) for record in records):
        yield "±: half the range covered by all rounds' 95 % intervals"
    values = [phrases.value(record, metric) for record in records for metric in (LATENCY, PEAK)]
    if any(text.startswith("~") for text in values):
        yield "~ predicted from the measured lengths"
    busy = [record.background_load or 0.0 for record in records if _is_busy(record)]
    if busy:
        cores = f"{max(busy):.1f} cores busy"
        yield f"! other processes kept up to {cores}: the latency may be too high"
    yield from footnotes.wide(records)
    yield from _beyond(parts)
    for why in dict.fromkeys(why for part in parts for why in part.doubts()):
        yield f"! doubtful roofline, it may be too low: {units.clean(why)}"
    comparisons = [part.comparison(record, LATENCY) for part, record in pairs]
    if any(point is not None and point.ordering == "close" for point in comparisons):
        yield "? too close to call: the intervals overlap"
