"""Peak memory of programs that allocate what they say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace

from effattn_cli.devices import nvml
from effattn_cli.measure import peak_memory
from effattn_cli.measure.workload import Subject
from effattn_cli.records import Cell, Memory, Sampling
from effattn_cli.run import outcome
from effattn_cli.run.jobs import Job, MeasureMemory, Task, Watched
from effattn_cli.setting import Setting
from tests.running import server

MB = 10**6
PLUGIN = '''
import torch
from effattn_cli.attention import Attention, Card

class Known(Attention):
    """Allocates a known amount beside its output."""
    card = Card(title="Known", families=("test",), paper="", year=2026, time="N", memory="N",
                causal="optional", kind="own mechanism")

    def attend(self, q, k, v, valid=None):
        held = torch.ones({size}, dtype=torch.uint8)
        held += 1
        return v * 2
'''


def measured(cell: Cell, path: Path | None = None) -> Memory:
    task = Task(cell=cell, plugin=str(path) if path else None)
    job = Job(request=MeasureMemory(task=task, sampling=Sampling()))
    watched = outcome.answer(server().run(job), Watched, 60.0)
    assert isinstance(watched, Watched)
    return watched.memory


@pytest.mark.parametrize("size", [10 * MB, 100 * MB, 2000 * MB])
def test_a_known_amount_is_found(tmp_path: Path, size: int) -> None:
    path = tmp_path / "known.py"
    path.write_text(PLUGIN.format(size=size))
    found = measured(
        Cell(variant="known", seq=1024, setting=Setting(dim=64, heads=2, threads=2)), path
    )
    known = size + 1024 * 64 * 4
    assert found.peak_bytes == pytest.approx(known, abs=4096)
    assert found.input_bytes == 3 * 1024 * 64 * 4
    if found.resident_bytes is not None:  # the system's own view
        assert found.resident_bytes == pytest.approx(known, rel=0.02, abs=MB)


def test_what_the_backward_needs_is_told_apart() -> None:
    cell = Cell(variant="softmax", seq=256, setting=Setting(dim=64, heads=1, phase="train"))
    found = measured(cell)
    weights, operands = 256 * 256 * 4, 2 * 256 * 64 * 4  # of the softmax; scaled q, k^T a copy
    assert weights <= found.saved_bytes <= weights + operands
    assert found.saved_bytes < found.peak_bytes
    assert measured(replace(cell, setting=replace(cell.setting, phase="forward"))).saved_bytes == 0


@pytest.mark.parametrize(
    ("views", "taken"), [([5 * MB, 9 * MB], 4 * MB), ([None, 9 * MB], None), ([9, 5], 0)]
)
def test_on_an_accelerator_the_drivers_view_stands_beside_the_allocators(
    monkeypatch: pytest.MonkeyPatch, views: list[int | None], taken: int | None
) -> None:
    told = iter(views)
    monkeypatch.setattr(nvml, "resident", lambda _: next(told))
    for name, value in {
        "empty_cache": None, "reset_peak_memory_stats": None, "synchronize": None,
        "memory_allocated": 2 * MB, "max_memory_allocated": 7 * MB,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.accelerator, name, lambda value=value: value)

    @contextmanager
    def profile(**_: object) -> Iterator[object]:
        yield SimpleNamespace(kineto_results=SimpleNamespace(events=list))

    monkeypatch.setattr(peak_memory, "profile", profile)
    subject = Subject(call=lambda: torch.ones(1), module=torch.nn.Identity(), width=1, inputs=())
    seen = peak_memory._on_accelerator(
        subject, Cell(variant="sdpa", seq=8, setting=Setting(device="cuda"))
    )
    assert (seen.peak_bytes, seen.resident_bytes) == (5 * MB, taken)
    assert seen.method == "allocator peak"
