"""Enters what a job answered into the record of its cell. Pure."""

from msgspec.structs import replace

from effattn_cli.records import Failure, Record
from effattn_cli.run.jobs import Counted, Problem, Timed, Watched


def counted(record: Record, answer: Counted | Problem, memory_limit: int) -> Record:
    """After counting: what the cell costs and needs; it fails at once if it cannot fit."""
    if isinstance(answer, Problem):
        if answer.reason == "unsupported":
            return replace(record, failure=Failure(reason=answer.reason, message=answer.message))
        return warned(record, f"its cost could not be counted: {answer.message}")
    needs = answer.resident_bytes + answer.cost.peak_bytes
    record = replace(record, cost=answer.cost, needs_bytes=needs)
    if needs > memory_limit:
        message = f"would need {_size(needs)}, the limit is {_size(memory_limit)}"
        return replace(record, failure=Failure(reason="out-of-memory", message=message))
    return record


def watched(record: Record, answer: Watched | Failure) -> Record:
    """After the memory pass: the cell's memory, or why it has none."""
    if isinstance(answer, Failure):
        return replace(record, failure=answer)
    return replace(
        record,
        memory=answer.memory,
        masked_flops=answer.masked_flops,
        usage=answer.usage,
        preparation=answer.preparation,
        kernels=answer.kernels,
        warnings=(*record.warnings, *answer.warnings),
    )


def timed(record: Record, answer: Timed | Failure) -> Record:
    """After a run: one more, or why there is none."""
    if isinstance(answer, Failure):
        return replace(record, failure=answer)
    return replace(
        record, runs=(*record.runs, answer.run), warnings=_joined(record.warnings, answer.warnings)
    )


def retried(record: Record, index: int, answer: Timed | Failure) -> Record:
    """After a second try of a run: the one in which the machine was faster counts, whatever the
    cell took; the samples of the other are kept apart. One that failed takes nothing away from the
    runs that did not.
    """
    if isinstance(answer, Failure):
        why = answer.message or answer.reason
        return warned(record, f"a second try of round {index + 1} failed: {why}")
    runs = list(record.runs)
    first, again = runs[index], answer.run
    faster = (again.calibration or 0.0) < (first.calibration or 0.0)
    runs[index] = again.superseding(first) if faster else first.superseding(again)
    return replace(record, runs=tuple(runs), warnings=_joined(record.warnings, answer.warnings))


def warned(record: Record, text: str) -> Record:
    return replace(record, warnings=_joined(record.warnings, (text,)))


def _joined(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _size(size: int) -> str:
    unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
    return f"{size / unit:.3g} {name}" if size < 1000 * unit else f"{size / unit:.0f} {name}"
