"""Counts what the cells of a variant cost and need, in a process of its own."""

from collections.abc import Iterator, Mapping, Sequence

from effattn_cli.cards import Variant
from effattn_cli.records import Record
from effattn_cli.run import outcome, results
from effattn_cli.run.context import RunContext
from effattn_cli.run.jobs import CountCost, Counted, Job, task
from effattn_cli.run.memory_limits import MemoryLimits

#: Seconds for a cell of a bundled variant. Most take milliseconds; a training step of thousands of
#: small operators takes a minute.
SECONDS = 120.0


def counted(
    left: Sequence[Record],
    variants: Mapping[str, Variant],
    context: RunContext,
    limits: MemoryLimits,
    seconds: float,
) -> Iterator[Record]:
    """The records with their costs, a failure or a warning, in one process while none takes it
    down; `seconds` is for all of them.
    """
    while left:
        tasks = tuple(task(record.cell, variants) for record in left)
        job = Job(request=CountCost(tasks=tasks), timeout=seconds, memory=limits.of_process())
        reply = context.launcher.run(job)
        for record, raw in zip(left, reply.answers, strict=False):
            answer = outcome.decoded(raw, Counted)
            yield results.counted(record, answer, limits.of_cell(record.cell))
        left = left[len(reply.answers) :]
        blamed = left if reply.timed_out else left[:1]  # the next ones can do without it
        why = "it took too long" if reply.timed_out else "the process ended"
        for record in blamed:
            yield results.warned(record, f"its cost could not be counted: {why}")
        left = left[len(blamed) :]
