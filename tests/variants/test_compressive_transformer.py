import re
from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.analysis.cost.scaling import measured_exponent
from effattn_cli.errors import Unsupported
from effattn_cli.measure.counting import count
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward
from tests.references.compressive_transformer import reference

Compressive = catalog.load("compressive-transformer")
SHAPES: list[dict[str, Any]] = [
    {"segment": 8, "memory": 8, "compressed": 6, "compression": 4},
    {"segment": 6, "memory": 12, "compressed": 5, "compression": 3},
    {"segment": 4, "memory": 0, "compressed": 3, "compression": 2},
    {"segment": 4, "memory": 4, "compressed": 0, "compression": 1},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_its_reference_as_memories_fill_and_overflow(shape: dict[str, Any]) -> None:
    layer = laws.make(Compressive, 45, dtype=torch.float64, causal=True, dim=16, heads=2, **shape)
    q, k, v = inputs = [
        torch.randn(2, 2, 45, 8, dtype=torch.float64).requires_grad_() for _ in range(3)
    ]
    got, want = layer.attend(q, k, v), reference(layer, q, k, v, None)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    wanted = [*inputs, *layer.get_submodule("positions").parameters()]
    upstream = torch.randn_like(got)
    grads = [torch.autograd.grad(out, wanted, upstream) for out in (got, want)]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_decoding_past_many_segments(shape: dict[str, Any]) -> None:
    layer = laws.make(Compressive, 45, dtype=torch.float64, causal=True, **shape)
    equals_the_forward(layer, 45)


@torch.no_grad()
def test_reaches_as_far_as_its_memories_do() -> None:
    layer = laws.make(Compressive, 80, causal=True, **SHAPES[0])
    x = laws.tokens_in(80)
    y = layer(x)
    for t, seen in ((72, True), (40, True), (39, False)):  # 80 - 8 - 8 - 4 * 6
        changed = x.clone()
        changed[:, t] += 1
        assert torch.equal(layer(changed)[:, -1], y[:, -1]) is not seen


def test_only_the_loss_of_compression_reaches_the_convolutions() -> None:
    layer = laws.make(Compressive, 45, causal=True, **SHAPES[0]).train()
    layer(laws.tokens_in(45)).sum().backward()
    missed = {name for name, weight in layer.named_parameters() if weight.grad is None}
    assert missed == {f"compress_{x}.{part}" for x in "kv" for part in ("weight", "bias")}


def test_flops_grow_in_line_with_the_length() -> None:
    options = {"segment": 256, "memory": 256, "compressed": 256}
    cells = [
        Cell(variant="", seq=n, options=options, setting=Setting(causal=True)) for n in (2048, 8192)
    ]
    flops = {cell.seq: count(Compressive, cell).cost.flops for cell in cells}
    assert measured_exponent(flops) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0}, "segment 0 is below 1"),
        ({"compressed": -1}, "compressed -1 is below 0"),
        ({"compression": 0}, "compression 0 is below 1"),
        ({"memory": 500}, "memory 500 is not a multiple of the segment"),
        ({"compression": 3}, "compression 3 does not divide the segment"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{re.escape(message)}$"):
        laws.make(Compressive, 50, causal=True, **options)
