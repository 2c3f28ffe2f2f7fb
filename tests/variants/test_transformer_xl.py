import re
from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.analysis.cost.scaling import measured_exponent
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.measure.counting import count
from effattn_cli.parts import relative, rows
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward
from tests.references.transformer_xl import reference

XL = catalog.load("transformer-xl")


@pytest.mark.parametrize("block", [1, 64])
@pytest.mark.parametrize(("segment", "memory"), [(8, 8), (8, 0), (4, 11), (1, 3), (50, 7)])
def test_equals_its_reference_across_segments(
    monkeypatch: pytest.MonkeyPatch, segment: int, memory: int, block: int
) -> None:
    monkeypatch.setattr(rows, "LEAST", block)
    monkeypatch.setattr(rows, "CACHED", 3 * 2 * 4 * (segment + memory) if block == 1 else 2**20)
    layer = laws.make(
        XL, 37, dtype=torch.float64, causal=True, segment=segment, memory=memory, dim=16, heads=2
    )
    q, k, v = inputs = [
        torch.randn(2, 2, 37, 8, dtype=torch.float64).requires_grad_() for _ in range(3)
    ]
    got, want = layer.attend(q, k, v), reference(layer, q, k, v, None)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    wanted = [*inputs, *layer.get_submodule("positions").parameters()]
    upstream = torch.randn_like(got)
    grads = [torch.autograd.grad(out, wanted, upstream) for out in (got, want)]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_projections_learn_through_the_memory_and_tokens_do_not() -> None:
    layer = laws.make(XL, 16, dtype=torch.float64, causal=True, segment=8, memory=8)
    x = laws.tokens_in(16).double().requires_grad_()
    y = layer(x)[:, 8:].sum()
    weight = layer.projections["k"].get_parameter("weight")
    to_x, to_k = torch.autograd.grad(y, [x, weight])
    assert (to_x[:, :8] == 0).all()
    assert (to_x[:, 8:] != 0).any()
    # As the paper trains: a call for each segment, and hidden states for memory.
    old, new = x[:, :8].detach(), x[:, 8:]
    q, k_new, v_new = layer.project(new)
    _, k_old, v_old = layer.project(old)
    zeros = torch.zeros_like(q)
    full = [torch.cat(pair, 2) for pair in ((zeros, q), (k_old, k_new), (v_old, v_new))]
    positions = layer.get_submodule("positions")
    assert isinstance(positions, relative.RelativeScores)
    r = positions.embedded(15, 17)
    z_BHTK = positions.attend(full[0], full[1], full[2], r, start=0, causal=True)[:, :, 8:]
    z = layer.projections["out"](z_BHTK.transpose(1, 2).flatten(2)).sum()
    torch.testing.assert_close(z, y)
    torch.testing.assert_close(torch.autograd.grad(z, weight)[0], to_k, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize(("segment", "memory"), [(8, 8), (8, 0), (4, 11), (1, 3)])
def test_decoding_past_many_segments(segment: int, memory: int) -> None:
    layer = laws.make(XL, 40, dtype=torch.float64, causal=True, segment=segment, memory=memory)
    equals_the_forward(layer, 40)


@pytest.mark.parametrize("context", [0, 1, 7, 8, 9, 40])
def test_a_state_is_as_long_as_its_context_makes_it(context: int) -> None:
    layer = laws.make(XL, 64, causal=True, segment=8, memory=16)
    assert isinstance(layer, Decodable)
    state = layer.init_state(2, context)
    assert state.passed + state.length == context
    assert state.k_BHSK.shape[2] == min(state.passed, 16) + 8


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_shift_is_the_gather_that_it_stands_for(rows: int, stride: int) -> None:
    keys = 7
    x = torch.randn(2, 3, rows, keys + stride * rows)
    got = relative.shifted(x, keys, stride)
    at = stride * (rows - 1 - torch.arange(rows))[:, None] + torch.arange(keys)
    assert torch.equal(got, x.gather(3, at.expand(2, 3, -1, -1)))
    assert got.data_ptr() == x.data_ptr() + 4 * stride * (rows - 1)


def test_flops_grow_in_line_with_the_length() -> None:
    options = {"segment": 256, "memory": 256}
    cells = [
        Cell(variant="", seq=n, options=options, setting=Setting(causal=True)) for n in (2048, 8192)
    ]
    flops = {cell.seq: count(XL, cell).cost.flops for cell in cells}
    assert measured_exponent(flops) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0}, "segment 0 is below 1"),
        ({"memory": -1}, "memory -1 is below 0"),
        ({"causal": False}, "Transformer-XL is always causal"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{re.escape(message)}$"):
        laws.make(XL, 50, **{"causal": True, **options})
