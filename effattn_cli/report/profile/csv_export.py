"""A profile for other programs: one row per measurement."""

import csv
import io
from collections.abc import Iterator

from effattn_cli.analysis.crossover.crossing import compare
from effattn_cli.analysis.reliability import outliers
from effattn_cli.analysis.series import by_setting
from effattn_cli.metrics import LATENCY, METRICS, percentile
from effattn_cli.records import Cell, Profile, Record
from effattn_cli.report import markdown
from effattn_cli.report.profile import findings, gpu_notes, tables
from effattn_cli.setting import AXES
from effattn_cli.units import clean

PERCENTILES = {metric.column: metric for metric in map(percentile, (0.9, 0.95, 0.99))}
#: How many times as fast as the baseline, and between which bounds.
RATIOS = ("baseline", "speedup", "low_speedup", "high_speedup")
ORIGIN = ("machine", "torch", "created", "effattn")
OTHERS = (
    "status", "runs", "samples", "outliers", "background_load", "peak_predicted", "resident_bytes",
    "launch_seconds", "worst_step_seconds", "useful_flops", "moved_bytes",
    "export_seconds", "load_seconds", "reason", "message",
)  # fmt: skip


def as_csv(*profiles: Profile) -> str:
    """Seconds, bytes and FLOPs as they are; what is not known is empty.

    A column for each axis and each metric; one that has noise has the ends of its 95 % interval.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*_metric_columns(), *PERCENTILES, *RATIOS, *OTHERS, *ORIGIN]
    writer.writerow(["label", "variant", "seq", *AXES, *columns])
    for profile in profiles:
        writer.writerows(_rows(profile))
    return text.getvalue()


def _rows(profile: Profile) -> Iterator[list[object]]:
    ratios, origin = _ratios(profile), _origin(profile)
    for record in profile.records:
        cell = record.cell
        place = [cell.label, cell.variant, cell.seq, *cell.setting.values().values()]
        percentiles = (metric.value(record) for metric in PERCENTILES.values())
        ratio = ratios.get(cell, (None,) * len(RATIOS))
        values = (*_metrics(record), *percentiles, *ratio, *_others(record), *origin)
        yield [_safe(value) for value in (*place, *values)]


def _ratios(profile: Profile) -> dict[Cell, tuple[object, ...]]:
    """In the order of `RATIOS`, for each cell beside which the baseline's latency is known."""
    ratios: dict[Cell, tuple[object, ...]] = {}
    for series in by_setting(profile.records) if profile.baseline else ():
        for record in series.records:
            other = series.find(profile.baseline or "", record.cell.seq)
            point = None if other is None else compare(record, other, LATENCY)
            if point is not None and other is not record:
                ratios[record.cell] = (profile.baseline, point.ratio, *point.ratios)
    return ratios


def _origin(profile: Profile) -> tuple[object, ...]:
    machine = profile.machine
    return machine.words, machine.torch, profile.created, machine.effattn


def _metric_columns() -> Iterator[str]:
    for metric in METRICS.values():
        yield metric.column
        if metric.noisy:
            yield from (f"low_{metric.column}", f"high_{metric.column}")


def _metrics(record: Record) -> Iterator[object]:
    for metric in METRICS.values():
        estimate = metric.read(record)
        yield None if estimate is None else metric.value(record)
        if metric.noisy:
            yield from (None, None) if estimate is None else (estimate.low, estimate.high)


def _others(record: Record) -> Iterator[object]:
    """In the order of `OTHERS`."""
    yield from (record.status, len(record.runs), len(record.samples), len(outliers(record)))
    yield record.background_load
    yield record.peak_bytes is not None and record.memory is None
    yield record.memory.resident_bytes if record.memory else None
    yield gpu_notes.launch(record)
    yield record.worst_step
    yield record.useful_flops
    yield record.cost.moved_bytes if record.cost else None
    prepared = record.preparation
    yield from (prepared.export_seconds, prepared.load_seconds) if prepared else (None, None)
    yield from (record.failure.reason, record.failure.message) if record.failure else (None, None)


def _safe(value: object) -> object:
    """Text that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_markdown(*profiles: Profile) -> str:
    """The tables and the findings of `effattn show`."""
    return "\n".join(map(_as_markdown, profiles))


def _as_markdown(profile: Profile) -> str:
    lines = []
    for title, grid in tables.grids(profile):
        lines += [*markdown.titled(title, grid), ""]
    sentences = [*findings.sentences(profile), *tables.notes(profile)]
    return "\n".join([*lines, *(f"- {markdown.text(line)}" for line in sentences), ""])
