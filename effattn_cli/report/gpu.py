"""What a GPU adds to the tables: how long launching took, and where its driver slowed it down."""

from collections.abc import Iterable, Iterator
from statistics import median

from effattn_cli.records import Record
from effattn_cli.report import units
from effattn_cli.report.claims import listed

BOUND = 0.9  # share of the latency from which on launching is what takes it


def launch(record: Record) -> float | None:
    """Seconds until the CPU has started all work of a call: the median of the rounds."""
    found = [part.launch for part in record.rounds if part.launch is not None]
    return median(found) if found and record.status == "measured" else None


def launched(record: Record) -> str:
    found = launch(record)
    return "" if found is None else units.seconds(found)


def is_bound(record: Record) -> bool:
    """Whether the GPU waits for the CPU rather than the other way round."""
    found, seconds = launch(record), record.seconds
    return found is not None and seconds is not None and found >= BOUND * seconds


def lines(records: Iterable[Record]) -> Iterator[str]:
    """A sentence each on launches and on the driver, where there is something to say."""
    known = [record for record in records if record.status == "measured"]
    bound: dict[str, list[str]] = {}
    for record in filter(is_bound, known):
        name = units.clean(record.cell.label)
        bound.setdefault(name, []).append(units.length(record.cell.seq))
    if bound:
        places = [f"{name} at {listed(list(dict.fromkeys(seqs)))}" for name, seqs in bound.items()]
        yield f"launching takes as long as the call, the GPU waits: {', '.join(places)}"
    seen = [part.gpu for record in known for part in record.rounds if part.gpu is not None]
    slowed = [gpu for gpu in seen if gpu.brakes]
    if slowed:
        why = listed(list(dict.fromkeys(brake for gpu in slowed for brake in gpu.brakes)))
        yield (
            f"the GPU was slowed down in {len(slowed)} of {len(seen)} rounds ({why}),"
            f" to {min(gpu.sm_mhz for gpu in slowed)} MHz and"
            f" {max(gpu.celsius for gpu in slowed)} °C at the most: latencies may be too high"
        )
