"""A launcher that measures nothing: it answers as real processes would, at once and exactly."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.records import Cell, Cost, Memory, Run
from effattn_cli.run.jobs import (
    CountCost,
    Counted,
    Job,
    MeasureLatency,
    MeasureMemory,
    MeasureRoofline,
    Problem,
    Refusal,
    Reply,
    Timed,
    Watched,
)

FLOPS = 1e11  # a second, of the machine that is played


def flops(cell: Cell) -> int:
    power = 1 if cell.variant == "linformer" else 2
    return 1_000_000 * cell.seq**power // 1024 ** (power - 1)


def seconds(cell: Cell) -> float:
    return flops(cell) / FLOPS


def answering(*answers: msgspec.Struct, **more: object) -> Reply:
    """A reply with these answers, as they come from a process."""
    raw = tuple(msgspec.Raw(msgspec.json.encode(answer)) for answer in answers)
    return Reply(answers=raw, **({"exit": 0} | more))  # type: ignore[arg-type]


def refusing(reason: str, message: str) -> Reply:
    problem = msgspec.convert({"reason": reason, "message": message}, Problem)
    return answering(Refusal(problem=problem))


class FakeLauncher:
    """Plays the measuring processes. `trouble` may answer for a job in their place."""

    def __init__(self, trouble: Callable[[Job], Reply | None] = lambda _: None) -> None:
        self.trouble = trouble
        self.jobs: list[Job] = []
        self.seconds = 0.0  # what the jobs so far would have taken

    def clock(self) -> float:
        return self.seconds

    def measured(self, kind: type[MeasureMemory | MeasureLatency]) -> list[Cell]:
        """The cells of the jobs of this kind."""
        requests = (job.request for job in self.jobs)
        return [request.task.cell for request in requests if isinstance(request, kind)]

    def run(self, job: Job) -> Reply:
        self.jobs.append(job)
        found = self.trouble(job)
        return found if found is not None else answering(*self._answers(job))

    def _answers(self, job: Job) -> list[msgspec.Struct]:
        request = job.request
        if isinstance(request, MeasureRoofline):
            place = {"device": request.device, "dtype": request.dtype, "threads": request.threads}
            return [replace(utilisation.ANY, flops=FLOPS, **place)]
        if isinstance(request, CountCost):
            return [_counted(task.cell) for task in request.tasks]
        assert isinstance(request, MeasureMemory | MeasureLatency)
        cell = request.task.cell
        self.seconds += 2 * seconds(cell)
        if isinstance(request, MeasureMemory):
            return [Watched(memory=_memory(cell), kernels=("flash",), masked_flops=0)]
        samples = (seconds(cell),) * 8
        run = Run(samples=samples, warmup=2, first_seconds=samples[0], stopped="steady")
        return [Timed(run=run)]


def _counted(cell: Cell) -> Counted:
    cost = Cost(
        matmul_flops=flops(cell), other_flops=0, transcendentals=0,
        read_bytes=cell.seq, write_bytes=cell.seq, peak_bytes=2048 * cell.seq,
    )  # fmt: skip
    return Counted(cost=cost, resident_bytes=6144 * cell.seq)


def _memory(cell: Cell) -> Memory:
    return Memory(
        peak_bytes=2048 * cell.seq + 1000, input_bytes=6144 * cell.seq, weight_bytes=0,
        method="allocation records", call_seconds=seconds(cell),
    )  # fmt: skip
