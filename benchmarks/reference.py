"""What a profile says of all its variants at once: from which length each is faster than the
baseline, and which stay far below their roofline.

    python -m benchmarks.reference [PROFILE]
    python -m benchmarks.reference [PROFILE] --operators

The reference profile unless another is named. With `--operators` the cells that stay below a
quarter of their roofline run once more, under torch's profiler: what they spend their time in.
"""

import argparse
from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from effattn_cli import catalog, library, units
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.crossover.crossing import crossover
from effattn_cli.analysis.series import Series, by_setting
from effattn_cli.attention import Layer
from effattn_cli.measure.workload import build
from effattn_cli.metrics import LATENCY
from effattn_cli.records import Profile, Record
from effattn_cli.report import crossover_view

REFERENCE = "ref:epyc-zen5-2-threads"
LOW = 0.25  # of the roofline
NEAR = 4096  # tokens; in a setting without this length, the next longer one
CALLS, SHOWN = 5, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", nargs="?", default=REFERENCE)
    parser.add_argument("--operators", action="store_true")
    asked = parser.parse_args()
    measured = library.read(asked.profile)
    if asked.operators:
        torch.set_num_threads(measured.records[0].cell.setting.threads or 1)
        for record, _ in far(measured):
            print(operators(record))
        return
    print("\n".join(crossings(measured)))
    print("\n".join(rooflines(measured)))


def crossings(measured: Profile) -> Iterator[str]:
    """The length from which on a variant is faster, a column for each phase; a table for each mask
    and scope.
    """
    tables: dict[str, list[Series]] = {}
    for series in by_setting(measured.records):
        if measured.baseline in series.labels:
            causal = "causal" if series.setting.causal else "not causal"
            tables.setdefault(f"{causal}, {series.setting.scope}", []).append(series)
    for title, columns in tables.items():
        yield f"| {title} | {' | '.join(series.setting.phase for series in columns)} |"
        yield "|---" * (1 + len(columns)) + "|"
        for label in dict.fromkeys(label for series in columns for label in series.labels):
            if label != measured.baseline:
                yield f"| {label} | {' | '.join(_crossing(c, label, measured) for c in columns)} |"
        yield ""


def _crossing(series: Series, label: str, measured: Profile) -> str:
    assert measured.baseline is not None
    curves = crossover(series, label, measured.baseline, LATENCY)
    if curves is None:
        return ""
    ratio = curves.last.ratio
    mark = "~" if curves.last.predicted else ""
    times = f"{mark}{units.ratio(ratio)} at {units.length(curves.last.seq)}"
    return f"{crossover_view.place(curves.crossing)}; {times}"


def rooflines(measured: Profile) -> Iterator[str]:
    """The forward cells below a quarter of their roofline, the furthest first."""
    yield "| variant | causal | tokens | of its roofline | latency | operators | bound by |"
    yield "|---|---|---|---|---|---|---|"
    for record, used in far(measured):
        cell = record.cell
        assert record.seconds is not None
        assert record.cost is not None
        causal = "yes" if cell.setting.causal else "no"
        time = units.seconds(record.seconds)
        yield (
            f"| {cell.label} | {causal} | {units.length(cell.seq)} | {used.fraction:.0%} | {time} |"
            f" {record.cost.operators:,} | {used.bound} |"
        )


def far(measured: Profile) -> list[tuple[Record, utilisation.Utilisation]]:
    """Measured forward cells below `LOW`, with how near they come."""
    pairs = []
    for series in by_setting(measured.records):
        at = min((seq for seq in series.seqs if seq >= NEAR), default=None)
        for record in series.records:
            used = utilisation.utilisation(record, measured.rooflines)
            if series.setting.phase == "forward" and record.cell.seq == at and used is not None:
                pairs.append((record, used))
    pairs.sort(key=lambda pair: pair[1].fraction)
    return [(record, used) for record, used in pairs if used.fraction < LOW]


@torch.no_grad()
def operators(record: Record) -> str:
    """The operators that take the most time of their own, as fractions of all."""
    subject = build(catalog.load(record.cell.variant, kind=Layer), record.cell)
    subject.call()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(CALLS):
            subject.call()
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    parts = (
        f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / total:.0%}"
        for event in events[:SHOWN]
    )
    return f"{record.cell.label}, {units.length(record.cell.seq)}: {', '.join(parts)}"


if __name__ == "__main__":
    main()
