"""Latency against an independent timer, and the peaks of programs that allocate a known amount.

    python benchmarks/accuracy.py

The timer is torch.utils.benchmark, with the same threads and the same heap. Each round measures a
cell in two fresh processes, one for each, in turn; every process is forked from this one, which
never runs an operator.
"""

import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from msgspec import to_builtins
from torch.utils.benchmark import Timer

from effattn_cli import catalog
from effattn_cli.host import heap
from effattn_cli.measure import latency
from effattn_cli.measure.workload import build
from effattn_cli.metrics import latency_interval
from effattn_cli.records import Cell, Record, Run, Sampling
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import ForkServer
from effattn_cli.run.jobs import Job, MeasureMemory, Task, Watched
from effattn_cli.setting import Setting

ROUNDS = 3
CELLS = (  # from 100 us to a second
    ("linear-transformer", 64), ("sdpa", 128), ("set-transformer", 512),
    ("linear-transformer", 1024), ("linformer", 2048), ("performer", 2048),
    ("sliding-window", 4096), ("sdpa", 4096), ("reformer", 16384), ("sdpa", 8192),
)  # fmt: skip
SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000)  # MB
KNOWN = '''
import torch
from effattn_cli.attention import Attention, Card

class Known(Attention):
    """Allocates a known amount beside its output."""
    card = Card(title="Known", families=("test",), paper="", year=2026, time="N", memory="N",
                causal="optional", kind="own mechanism")

    def attend(self, q, k, v, real=None):
        held = torch.ones({size}, dtype=torch.uint8)
        held += 1
        return v * 2
'''


def ours(cell: Cell) -> Any:
    return to_builtins(latency.measure(catalog.load(cell.variant), cell, Sampling()))


def theirs(cell: Cell) -> float:
    heap.retain_heap()
    subject = build(catalog.load(cell.variant), cell)
    timer = Timer("call()", globals={"call": subject.call}, num_threads=cell.setting.threads)
    return float(timer.blocked_autorange(min_run_time=0.5).median)


def in_a_process(work: Callable[[Cell], Any], cell: Cell) -> Any:
    reading, writing = os.pipe()
    if os.fork() == 0:
        torch.set_num_threads(cell.setting.threads)
        with os.fdopen(writing, "w") as pipe:
            json.dump(work(cell), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = json.load(pipe)
    os.wait()
    return result


def latencies() -> None:
    cells = [
        Cell(variant=name, seq=seq, setting=Setting(threads=os.cpu_count() or 1, scope="core"))
        for name, seq in CELLS
    ]
    times: dict[Cell, tuple[list[Run], list[float]]] = {cell: ([], []) for cell in cells}
    for number in range(ROUNDS):
        random.Random(number).shuffle(cells)
        for cell in cells:
            pair = [(ours, 0), (theirs, 1)]
            for work, side in pair if number % 2 else reversed(pair):
                result = in_a_process(work, cell)
                if side == 0:
                    times[cell][0].append(Run(**(result | {"samples": tuple(result["samples"])})))
                else:
                    times[cell][1].append(result)
    print(f"{'cell':26} {'ours ms':>9} {'timer ms':>9} {'off':>8} {'interval':>9}  within +5 %")
    offs = []
    for cell, (runs, others) in sorted(times.items(), key=lambda item: median(item[1][1])):
        record = Record(cell=cell, runs=tuple(runs))
        mine, other, around = record.seconds, median(others), latency_interval(record)
        assert mine is not None
        assert around is not None
        low, high = around
        offs.append(mine / other - 1)
        holds = low / 1.05 <= other <= high * 1.05
        name = f"{cell.variant} at {cell.seq}"
        print(
            f"{name:26} {1e3 * mine:9.3f} {1e3 * other:9.3f} {offs[-1]:+8.1%}"
            f" {(high - low) / 2 / mine:9.1%}  {'yes' if holds else 'NO'}"
        )
    print(f"median off {median(map(abs, offs)):.1%}\n")


def peaks() -> None:
    print(f"{'allocated MB':>12} {'found MB':>12} {'off':>9}")
    with tempfile.TemporaryDirectory() as folder, ForkServer() as server:
        for size in SIZES:
            path = Path(folder, f"known_{size}.py")
            path.write_text(KNOWN.format(size=size * 10**6))
            cell = Cell(variant=path.stem, seq=1024, setting=Setting(dim=64, heads=2))
            task = Task(cell=cell, plugin=str(path))
            job = Job(request=MeasureMemory(task=task, sampling=Sampling()))
            watched = outcome.answer(server.run(job), Watched, 60.0)
            assert isinstance(watched, Watched)
            peak = watched.memory.peak_bytes
            exact = size * 10**6 + 1024 * 64 * 4
            print(f"{exact / 1e6:12.3f} {peak / 1e6:12.3f} {peak / exact - 1:+9.3%}", flush=True)


if __name__ == "__main__":
    peaks()
    latencies()
