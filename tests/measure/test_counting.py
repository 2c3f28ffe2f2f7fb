"""Costs are those of the program that the cell's device runs."""

import pytest
from msgspec.structs import replace

from effattn_cli import catalog
from effattn_cli.attention import Layer
from effattn_cli.measure.counting import count
from effattn_cli.records import Cell
from effattn_cli.setting import Setting


def counted(name: str, device: str, **setting: int) -> tuple[int, int]:
    """The number of operators, and the peak in bytes."""
    variant = catalog.load(name, kind=Layer)
    place = Setting(device=device, causal=True, **setting)  # type: ignore[arg-type]
    cost = count(variant, Cell(variant=name, seq=4096, setting=place)).cost
    return cost.operators, cost.peak_bytes


@pytest.mark.in_ci
@pytest.mark.parametrize("name", ["linear-transformer", "gated-deltanet", "dsa", "mamba"])
def test_a_gpu_does_at_once_what_a_cpu_does_in_pieces(name: str) -> None:
    cpu, gpu = (counted(name, device, batch=4) for device in ("cpu", "cuda"))
    assert gpu[0] < cpu[0] / 4
    assert gpu[1] > cpu[1]
    assert counted(name, "cuda", batch=1)[0] <= gpu[0]


@pytest.mark.parametrize("backend", ["flash", "efficient", "cudnn"])
def test_the_kernels_that_only_a_gpu_has_are_counted(backend: str) -> None:
    cell = Cell(variant="sdpa", seq=1024, setting=Setting(device="cuda"))
    costs = [
        count(catalog.load("sdpa"), replace(cell, options={"backend": name})).cost
        for name in ("auto", backend)
    ]
    assert costs[0] == costs[1]


def test_what_is_counted_for_a_gpu_leaves_the_next_count_alone() -> None:
    first = counted("linear-transformer", "cpu")
    counted("linear-transformer", "cuda")
    assert counted("linear-transformer", "cpu") == first


def test_a_gpu_repeats_kv_heads_that_no_fused_kernel_shares() -> None:
    cpu, gpu = (counted("gqa", device) for device in ("cpu", "cuda"))
    assert gpu[0] == cpu[0] + 2
