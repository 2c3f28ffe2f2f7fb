"""What a GPU adds to the tables: how long launching took, and how fast and hot it ran."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from effattn_cli import units
from effattn_cli.machine import Gpu
from effattn_cli.records import Record
from effattn_cli.report.profile.claims import listed

LAUNCH_BOUND = 0.9  # fraction of the latency above which the cell is launch-bound
NAMED = 6  # variants, at most, that are named; of more, the cells are counted


def launch(record: Record) -> float | None:
    """Seconds until the CPU has started all work of a call: the median of the runs."""
    launches = [run.launch for run in record.runs if run.launch is not None]
    return median(launches) if launches and record.status == "measured" else None


def launched(record: Record) -> str:
    took = launch(record)
    return "" if took is None else units.seconds(took)


def is_bound(record: Record) -> bool:
    """Whether the CPU is as long at a call as the GPU."""
    took, seconds = launch(record), record.seconds
    return took is not None and seconds is not None and took >= LAUNCH_BOUND * seconds


def lines(records: Iterable[Record]) -> Iterator[str]:
    """A sentence each on launches and on clocks, where there is something to say."""
    measured = [record for record in records if record.status == "measured"]
    bound = [record for record in measured if is_bound(record)]
    if bound:
        # It may be in the launches, or wait for the GPU within the call; either way the GPU rests.
        places = _places(bound, measured)
        yield (
            f"the CPU takes as long for a call as the GPU, which may wait: {places};"
            " a larger --batch or --engine compile keeps it busier"
        )
    seen = [run.gpu for record in measured for run in record.runs if run.gpu is not None]
    if seen:
        speeds, heats = [gpu.sm_mhz for gpu in seen], [gpu.celsius for gpu in seen]
        yield f"the GPU ran at {_span(speeds)} MHz and {_span(heats)} °C{_slowed(seen)}"


def _places(bound: Sequence[Record], measured: Sequence[Record]) -> str:
    lengths: dict[str, list[str]] = {}
    for record in bound:
        name = units.clean(record.cell.label)
        lengths.setdefault(name, []).append(units.length(record.cell.seq))
    if len(lengths) > NAMED:
        return f"{len(bound)} of {len(measured)} cells"
    return ", ".join(
        f"{name} at {listed(list(dict.fromkeys(seqs)))}" for name, seqs in lengths.items()
    )


def _slowed(seen: Sequence[Gpu]) -> str:
    slowed = [gpu for gpu in seen if gpu.throttle_reasons]
    if not slowed:
        return ""
    why = listed(list(dict.fromkeys(one for gpu in slowed for one in gpu.throttle_reasons)))
    runs = f"{len(slowed)} of {len(seen)} runs"
    return f", slowed down in {runs} by its driver ({why}): latencies may be too high"


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} … {high}"
