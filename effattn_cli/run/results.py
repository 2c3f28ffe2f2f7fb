"""Enters what a job answered into the record of its cell. Pure."""

from msgspec.structs import replace

from effattn_cli.records import Failure, Record
from effattn_cli.run.jobs import Counted, Problem, Timed, Watched


def counted(record: Record, told: Counted | Problem, memory_limit: int) -> Record:
    """After counting: what the cell costs and needs; it fails at once if it cannot fit."""
    if isinstance(told, Problem):
        if told.reason == "unsupported":
            return replace(record, failure=Failure(reason=told.reason, message=told.message))
        return warned(record, f"its cost could not be counted: {told.message}")
    needs = told.resident_bytes + told.cost.peak_bytes
    record = replace(record, cost=told.cost, needs_bytes=needs)
    if needs > memory_limit:
        message = f"would need {_size(needs)}, the limit is {_size(memory_limit)}"
        return replace(record, failure=Failure(reason="out-of-memory", message=message))
    return record


def watched(record: Record, told: Watched | Failure) -> Record:
    """After the memory pass: the cell's memory, or why it has none."""
    if isinstance(told, Failure):
        return replace(record, failure=told)
    return replace(
        record,
        memory=told.memory,
        masked_flops=told.masked_flops,
        usage=told.usage,
        kernels=told.kernels,
        warnings=(*record.warnings, *told.warnings),
    )


def timed(record: Record, told: Timed | Failure) -> Record:
    """After a run: one more, or why there is none."""
    if isinstance(told, Failure):
        return replace(record, failure=told)
    return replace(
        record, runs=(*record.runs, told.run), warnings=_joined(record.warnings, told.warnings)
    )


def retried(record: Record, place: int, told: Timed | Failure) -> Record:
    """After a second try of a run: the one in which the machine was faster counts, whatever the
    cell took; the samples of the other are kept apart. One that failed takes nothing away from the
    runs that did not.
    """
    if isinstance(told, Failure):
        why = told.message or told.reason
        return warned(record, f"a second try of round {place + 1} failed: {why}")
    runs = list(record.runs)
    first, again = runs[place], told.run
    faster = (again.calibration or 0.0) < (first.calibration or 0.0)
    runs[place] = again.superseding(first) if faster else first.superseding(again)
    return replace(record, runs=tuple(runs), warnings=_joined(record.warnings, told.warnings))


def warned(record: Record, text: str) -> Record:
    return replace(record, warnings=_joined(record.warnings, (text,)))


def _joined(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _size(size: int) -> str:
    unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
    return f"{size / unit:.3g} {name}" if size < 1000 * unit else f"{size / unit:.0f} {name}"
