"""The process of one job, as far as it can be looked at from within this one."""

import pytest
import torch

from effattn_cli.records import Cell
from effattn_cli.run import child
from tests.measure.fakes import a_gpu


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
    with child._prepared(Cell(variant="sdpa", seq=8, device=device), memory):
        assert (told, chosen) == (fractions, indices)
