"""A profile for other programs: a line for each cell."""

import csv
import io
from collections.abc import Iterator
from dataclasses import fields

from effattn_cli.analysis.reliability import foreign_load, interval, outliers
from effattn_cli.records import Cell, Profile, Record
from effattn_cli.report import markdown
from effattn_cli.report.profile import findings, gpu_notes, tables
from effattn_cli.units import clean

AXES = [item.name for item in fields(Cell) if item.name != "options"]
VALUES = (
    "status", "seconds", "low_seconds", "high_seconds", "rounds", "samples", "outliers",
    "foreign_load", "peak_bytes", "peak_predicted", "resident_bytes", "state_bytes", "joules",
    "launch_seconds", "flops", "useful_flops", "moved_bytes", "reason", "message",
)  # fmt: skip


def as_csv(profile: Profile) -> str:
    """Seconds, bytes and FLOPs as they are; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", *AXES, *VALUES])
    for record in profile.records:
        cells = [record.cell.label, *(getattr(record.cell, name) for name in AXES)]
        writer.writerow([_safe(value) for value in (*cells, *_values(record))])
    return text.getvalue()


def _values(record: Record) -> Iterator[object]:
    bounds = interval(record) or (None, None)
    yield from (record.status, record.seconds, *bounds, len(record.rounds), len(record.samples))
    yield from (len(outliers(record)), foreign_load(record))
    yield record.peak_bytes
    yield record.peak_bytes is not None and record.memory is None
    memory = record.memory
    yield from (memory.resident_bytes, memory.state_bytes) if memory else (None, None)
    yield from (record.joules, gpu_notes.launch(record))
    yield record.cost.flops if record.cost else None
    yield record.useful_flops
    yield record.cost.moved_bytes if record.cost else None
    yield from (record.failure.reason, record.failure.message) if record.failure else (None, None)


def _safe(value: object) -> object:
    """Text that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_markdown(profile: Profile) -> str:
    """The tables and the findings of `effattn show`."""
    lines = []
    for title, grid in tables.grids(profile):
        lines += [*markdown.titled(title, grid), ""]
    told = [*findings.sentences(profile), *tables.notes(profile)]
    return "\n".join([*lines, *(f"- {markdown.text(line)}" for line in told), ""])
