"""The process of one job, as far as it can be looked at from within this one."""

import json
import subprocess
import sys

import pytest
import torch

from effattn_cli.run import worker
from effattn_cli.setting import Setting
from tests.measure.fake_blocks import a_gpu

#: Measures cells as the server's processes do, and prints what torch had to import for it.
MEASURES = """
import importlib, json, sys
from effattn_cli import catalog
from effattn_cli.records import Cell, Sampling
from effattn_cli.run import server, worker
from effattn_cli.run.jobs import MeasureLatency, MeasureMemory, Refusal, Task
from effattn_cli.setting import Setting

importlib.import_module(server.PRELOADED["real"])
worker.prepare()
sampling = Sampling(seconds=0.001, min_samples=1, max_samples=1)
shape = {"dim": 32, "heads": 2, "scope": "layer"}
cells = [
    Cell(variant=name, seq=64, setting=Setting(phase=phase, causal=causal, **shape))
    for name in catalog.bundled_names()
    for phase, causal in (("forward", False), ("train", False), ("decode", True))
]
tasks = [Task(cell=cell, plugin=None) for cell in cells]
for task in tasks:
    worker._variant(task)
before, kept = set(sys.modules), []
for task in tasks:
    for kind in (MeasureMemory, MeasureLatency):
        worker.run(kind(task=task, sampling=sampling), kept.append)
reasons = {answer.problem.reason for answer in kept if isinstance(answer, Refusal)}
print(json.dumps([sorted(set(sys.modules) - before), sorted(reasons)]))
"""


@pytest.mark.parametrize(
    ("device", "memory", "fractions", "indices"),
    [
        ("cuda", 20 << 30, [0.25], []),
        ("cuda:1", 100 << 30, [1.0], [1]),
        ("cuda:0", None, [], [0]),
        ("cpu", 20 << 30, [], []),
    ],
)
def test_a_cell_on_a_gpu_takes_no_more_of_it_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    memory: int | None,
    fractions: list[float],
    indices: list[int],
) -> None:
    a_gpu(monkeypatch)
    told: list[float] = []
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    monkeypatch.setattr(torch.accelerator, "set_device_index", chosen.append)
    with worker._prepared(Setting(device=device), memory):
        assert (told, chosen) == (fractions, indices)


@pytest.mark.in_ci
def test_no_process_waits_for_an_import_of_the_compiler() -> None:
    """Each process would import it again: up to two seconds for a run of thirty milliseconds."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURES], capture_output=True, text=True, check=True
    )
    modules, reasons = json.loads(ran.stdout.splitlines()[-1])
    slow = ("torch._dynamo", "torch._inductor", "torch.fx", "torch.distributed", "sympy")
    assert [name for name in modules if name.startswith(slow)] == []
    assert reasons == ["unsupported"]
