from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from effattn_cli.parts.sinkhorn import Balance, running
from tests.decoding import equals_the_forward
from tests.references.sdpa import softmax_attention
from tests.references.sinkhorn_transformer import reference

Sinkhorn = catalog.load("sinkhorn-transformer")
ALL = torch.ones((), dtype=torch.bool)


def layer_of(tokens: int, **shape: Any) -> Attention:
    return laws.make(Sinkhorn, tokens, dtype=torch.float64, **shape)


def inputs(tokens: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(2, 4, tokens, 16, generator=generator).double() for _ in range(3))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        {"block_size": 8, "sortcut": 2},
        {"block_size": 7, "sortcut": 20},
        {"block_size": 100, "iterations": 1},
        {"block_size": 8, "temperature": 0.05},
        {"block_size": 1, "iterations": 3},
        {"block_size": 6, "causal": True},
        {"block_size": 1, "causal": True},
    ],
    ids=str,
)
def test_equals_its_reference(shape: dict[str, Any], padded: bool) -> None:
    layer = layer_of(40, **shape)
    valid_BT = torch.arange(40) < torch.tensor([[40], [21]])
    mask = valid_BT if padded else None
    q, k, v = (x.requires_grad_() for x in inputs(40))
    both = layer.attend(q, k, v, mask), reference(layer, q, k, v, mask)
    keep = valid_BT if padded else torch.ones_like(valid_BT)
    outs = [out_BHTK.transpose(1, 2)[keep] for out_BHTK in both]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-8, atol=1e-8)
    wanted = (q, k, v, *(p for n, p in layer.named_parameters() if "projections" not in n))
    grads = [
        torch.autograd.grad(out.square().sum(), wanted, allow_unused=True, materialize_grads=True)
        for out in outs
    ]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-7, atol=1e-7)


@torch.no_grad()
def test_padding_is_as_good_as_a_shorter_sequence() -> None:
    layer = layer_of(50, block_size=8)
    q, k, v = inputs(50)
    valid_BT = (torch.arange(50) < 27).expand(2, -1)
    short = layer.attend(*(x[:, :, :27] for x in (q, k, v)))
    torch.testing.assert_close(layer.attend(q, k, v, valid_BT)[:, :, :27], short)


@torch.no_grad()
def test_many_iterations_balance_rows_and_columns() -> None:
    logits = torch.randn(2, 3, 9, 9, dtype=torch.float64) * 3
    matrix = Balance(200, 1.0, causal=False)(logits, ALL)
    ones = torch.ones(2, 3, 9, dtype=torch.float64)
    torch.testing.assert_close(matrix.sum(-1), ones)
    torch.testing.assert_close(matrix.sum(-2), ones)


@torch.no_grad()
def test_a_low_temperature_gives_a_permutation() -> None:
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    noise = torch.rand(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    logits = (torch.eye(6, dtype=torch.float64)[order] + 0.5 * noise) / 0.01
    matrix = Balance(50, 1.0, causal=False)(logits[None, None], ALL)[0, 0]
    torch.testing.assert_close(matrix, torch.eye(6, dtype=torch.float64)[order])


@pytest.mark.parametrize("rows", [1, 2, 37])
def test_a_running_sum_is_that_of_torch(rows: int) -> None:
    generator = torch.Generator().manual_seed(3)
    x = 5 * torch.randn(2, 3, rows, 5, dtype=torch.float64, generator=generator)
    x = x.masked_fill(torch.ones(rows, 5).triu(1) > 0, -1e30).requires_grad_()
    both = running(x), x.logcumsumexp(2)
    torch.testing.assert_close(both[0], both[1], rtol=1e-9, atol=1e-9)
    seen = (x.detach() > -1e30) * torch.randn(both[0].shape, generator=generator)
    grads = [torch.autograd.grad(out, x, seen) for out in both]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_balancing_does_not_overflow() -> None:
    logits = 1e4 * torch.randn(1, 1, 50, 50, generator=torch.Generator().manual_seed(0))
    for causal in (False, True):
        seen = torch.ones(50, 50, dtype=torch.bool).tril() if causal else ALL
        matrix = Balance(8, 1.0, causal=causal)(logits, seen)
        assert matrix.isfinite().all()
        assert matrix.max() <= 1 + 1e-5


@torch.no_grad()
def test_sortcut_of_all_blocks_in_any_order_is_exact_attention() -> None:
    """R near a permutation: every key is there once, and softmax does not mind the order."""
    layer = layer_of(48, block_size=8, sortcut=6, temperature=1e-3, iterations=2000)
    q, k, v = inputs(48)
    want = softmax_attention(q, k, v)
    torch.testing.assert_close(layer.attend(q, k, v), want, rtol=1e-2, atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("block_size", [1, 7, 16, 100])
def test_decoding_equals_the_causal_forward_across_blocks(block_size: int) -> None:
    layer = layer_of(60, block_size=block_size, causal=True)
    equals_the_forward(layer, 60)


@pytest.mark.parametrize(("tokens", "block"), [(1, 1), (4096, 64), (16384, 128), (1000, 32)])
def test_blocks_of_root_n(tokens: int, block: int) -> None:
    assert laws.make(Sinkhorn, tokens).block == block


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 0}, "block_size 0 is below 1"),
        ({"iterations": 0}, "iterations 0 is below 1"),
        ({"temperature": 0.0}, "temperature 0.0 is not above 0"),
        ({"sortcut": -1}, "sortcut -1 is below 0"),
        ({"sortcut": 2, "causal": True}, "Sinkhorn Transformer with sortcut cannot be causal"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported) as caught:
        layer_of(50, **options)
    assert str(caught.value) == message
