"""A launcher that measures nothing: it answers as real processes would, at once and exactly."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from effattn_cli.analysis.cost import utilisation
from effattn_cli.records import Cell
from effattn_cli.run.fork_server import Job, Reply

FLOPS = 1e11  # a second, of the machine that is played


def flops(cell: Cell) -> int:
    power = 1 if cell.variant == "linformer" else 2
    return 1_000_000 * cell.seq**power // 1024 ** (power - 1)


def seconds(cell: Cell) -> float:
    return flops(cell) / FLOPS


class FakeLauncher:
    """Plays the measuring processes. `trouble` may answer for a job in their place."""

    def __init__(self, trouble: Callable[[Job], Reply | None] = lambda _: None) -> None:
        self.trouble = trouble
        self.jobs: list[Job] = []
        self.seconds = 0.0  # what the jobs so far would have taken

    def clock(self) -> float:
        return self.seconds

    def visits(self, name: str) -> list[Cell]:
        return [Cell(**job.payload["cell"]) for job in self.jobs if job.name == name]

    def run(self, job: Job) -> Reply:
        self.jobs.append(job)
        found = self.trouble(job)
        return found if found is not None else Reply(answers=self._answers(job), exit=0)

    def _answers(self, job: Job) -> list[dict[str, Any]]:
        if job.name == "roofline":
            return [{"roofline": asdict(replace(utilisation.ANY, flops=FLOPS, **job.payload))}]
        if job.name == "count":
            return [_counted(Cell(**item["cell"])) for item in job.payload["cells"]]
        cell = Cell(**job.payload["cell"])
        self.seconds += 2 * seconds(cell)
        if job.name == "memory":
            return [
                {"memory": _memory(cell), "kernels": ["flash"], "warnings": [], "masked_flops": 0}
            ]
        samples = [seconds(cell)] * 8
        found = {"samples": samples, "warmup": 2, "first_seconds": samples[0], "stopped": "steady"}
        return [{"round": found}]


def _counted(cell: Cell) -> dict[str, Any]:
    cost = {
        "matmul_flops": flops(cell), "other_flops": 0, "transcendentals": 0,
        "read_bytes": cell.seq, "write_bytes": cell.seq, "peak_bytes": 2048 * cell.seq,
    }  # fmt: skip
    return {"cost": cost, "needs": 6144 * cell.seq}


def _memory(cell: Cell) -> dict[str, Any]:
    return {
        "peak_bytes": 2048 * cell.seq + 1000, "input_bytes": 6144 * cell.seq, "weight_bytes": 0,
        "method": "allocation records", "call_seconds": seconds(cell),
    }  # fmt: skip
