"""The process of one job, as far as it can be looked at from within this one."""

import json
import subprocess
import sys

import pytest
import torch

from effattn_cli.records import Cell
from effattn_cli.run import worker
from tests.measure.fake_blocks import a_gpu

#: Visits cells as the server's processes do, and prints what torch had to import for it.
VISITS = """
import importlib, json, sys
from dataclasses import asdict
from effattn_cli import catalog
from effattn_cli.records import Cell, Sampling
from effattn_cli.run import server, worker

importlib.import_module(server.PRELOADED["real"])
worker.prepare()
sampling = asdict(Sampling(seconds=0.001, min_samples=1, max_samples=1))
cells = [
    Cell(variant=name, seq=64, dim=32, heads=2, phase=phase, scope="layer", causal=causal)
    for name in catalog.bundled_names()
    for phase, causal in (("forward", False), ("train", False), ("decode", True))
]
for cell in cells:
    worker._variant({"cell": {"variant": cell.variant}, "path": None})
before, kept = set(sys.modules), []
for cell in cells:
    payload = {"cell": asdict(cell), "path": None, "sampling": sampling, "expected": None}
    for job in ("memory", "latency"):
        worker.run(job, payload, kept.append)
reasons = {answer["failure"]["reason"] for answer in kept if "failure" in answer}
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
    with worker._prepared(Cell(variant="sdpa", seq=8, device=device), memory):
        assert (told, chosen) == (fractions, indices)


def test_no_visit_waits_for_an_import_of_the_compiler() -> None:
    """Each process would import it again: up to two seconds for a visit of thirty milliseconds."""
    ran = subprocess.run([sys.executable, "-c", VISITS], capture_output=True, text=True, check=True)
    modules, reasons = json.loads(ran.stdout.splitlines()[-1])
    slow = ("torch._dynamo", "torch._inductor", "torch.fx", "torch.distributed", "sympy")
    assert [name for name in modules if name.startswith(slow)] == []
    assert reasons == ["unsupported"]
