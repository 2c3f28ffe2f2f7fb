"""What is remarkable about the cells of a profile, in lines below its tables."""

from collections.abc import Iterable, Iterator, Sequence

from effattn_cli import units
from effattn_cli.analysis.reliability import half_width, outliers, slow_runs
from effattn_cli.records import Record
from effattn_cli.report.profile import engine_notes, gpu_notes, usage_notes

DEARER = 2.0  # times a mean step, from which on the dearest one is worth a line
LEAST = 0.01  # of the FLOPs: what masks throw away is not worth a line below it


def lines(records: Sequence[Record]) -> Iterator[str]:
    yield from _outliers(records)
    yield from _slow(records)
    yield from _masked(records)
    yield from _worst_steps(records)
    yield from usage_notes.lines(records)
    yield from engine_notes.lines(records)
    yield from gpu_notes.lines(records)
    yield from _warnings(records)


def _outliers(records: Iterable[Record]) -> Iterator[str]:
    """How many samples stand far from the others, and where most of them are."""
    counts = [(len(outliers(each)), each) for each in records]
    number = sum(count for count, _ in counts)
    if number:
        maximum, worst = max(counts, key=lambda pair: pair[0])
        share = f"{maximum} of {len(worst.samples)}"
        place = f"{units.clean(worst.cell.label)} at {units.length(worst.cell.seq)}"
        yield f"outliers: {number} samples far from the rest, none dropped; most: {place} ({share})"


def is_wide(record: Record) -> bool:
    """Whether the interval says that the latency is hardly known."""
    return (half_width(record) or 0.0) > 1


def wide(records: Iterable[Record]) -> Iterator[str]:
    """Which intervals are so wide, and why."""
    places = [
        f"{units.clean(record.cell.label)} at {units.length(record.cell.seq)} ({_cause(record)})"
        for record in records
        if is_wide(record)
    ]
    if places:
        yield f"! interval above 100 %: {', '.join(places)}; measure again, or more --rounds"


def _cause(record: Record) -> str:
    if record.background_load is not None:
        return "other processes were running"
    medians = [run.median for run in record.runs]
    if len(medians) == 1:
        times = max(record.samples) / min(record.samples)
        return f"a single round, whose samples differ {units.ratio(times)}"
    return f"its rounds differ {units.ratio(max(medians) / min(medians))}"


def _slow(records: Sequence[Record]) -> Iterator[str]:
    """In how many rounds the machine was not at its best, after the second tries."""
    slow = slow_runs(records)
    if slow:
        share = f"{len(slow)} of {sum(len(record.runs) for record in records)} runs"
        maximum = max(times for *_, times in slow)
        yield f"slow machine: the reference kernel took longer in {share}, up to {maximum:.1f}x"


def _masked(records: Iterable[Record]) -> Iterator[str]:
    """A line for each variant whose executed FLOPs are not all of use."""
    by_label: dict[str, list[float]] = {}
    for record in records:
        if record.cost and record.cost.flops and record.masked_flops:
            fraction = record.masked_flops / record.cost.flops
            by_label.setdefault(units.clean(record.cell.label), []).append(fraction)
    for name, fractions in by_label.items():
        if max(fractions) >= LEAST:
            span = usage_notes.span(fractions, units.percent)
            yield f"{name}: {span} of its FLOPs compute scores that are then masked out"


def _worst_steps(records: Iterable[Record]) -> Iterator[str]:
    """A line for each variant whose steps of decoding differ, where that matters most."""
    worst: dict[str, tuple[float, Record]] = {}
    for record in records:
        if record.worst_step is not None and record.seconds:
            times, label = record.worst_step / record.seconds, units.clean(record.cell.label)
            if times > DEARER and times > worst.get(label, (0.0, record))[0]:
                worst[label] = times, record
    for label, (times, record) in worst.items():
        step, length = units.seconds(record.worst_step or 0.0), units.length(record.cell.seq)
        of = f"one step in {record.steps}" if record.cost else "the dearest step of a period"
        yield f"{label}: a mean step is shown; {of} takes {step} at {length}, {times:.3g}x that"


def _warnings(records: Sequence[Record]) -> Iterator[str]:
    """Each warning once, with where it was given: the lengths, unless it was at all of them."""
    by_text: dict[str, dict[str, dict[int, None]]] = {}
    lengths: dict[str, set[int]] = {}
    for record in records:
        label, seq = units.clean(record.cell.label), record.cell.seq
        lengths.setdefault(label, set()).add(seq)
        for warning in record.warnings:
            by_text.setdefault(units.clean(warning), {}).setdefault(label, {})[seq] = None
    for warning, places in by_text.items():
        lines = [
            label if len(mine) > 1 and mine.keys() == lengths[label]
            else f"{label} at {', '.join(map(units.length, mine))}"
            for label, mine in places.items()
        ]  # fmt: skip
        yield f"{'; '.join(lines)}: {warning}"
