"""FLOPs that masks throw away, against masks that can be counted by hand."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention, softmax

from effattn_cli import catalog
from effattn_cli.measure.counting import count
from effattn_cli.measure.masked_work import Masked
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.forms.work import triangle

B, H, T, K = 2, 3, 40, 8
SEEN_TT = torch.ones(T, T).tril() > 0
HIDDEN = T * (T - 1) // 2 * B * H  # scores


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_of_a_causal_mask_the_upper_half_is_lost(*, fused: bool, train: bool) -> None:
    q, k, v = (torch.randn(B, H, T, K, requires_grad=train) for _ in range(3))
    with Masked() as masked:
        if fused:
            out = scaled_dot_product_attention(q, k, v, attn_mask=SEEN_TT)
        else:
            out = softmax((q @ k.mT).masked_fill(~SEEN_TT, -torch.inf), -1) @ v
        if train:
            torch.autograd.grad(out.sum(), (q, k, v))
    products = 2 + train * (5 if fused else 4)  # the fused backward makes the scores once more
    assert masked.flops == products * 2 * K * HIDDEN


def test_a_triangle_cut_out_of_scores_counts() -> None:
    q, k, v = (torch.randn(B, H, T, K, requires_grad=True) for _ in range(3))
    with Masked() as masked:
        out = (q @ k.mT).tril() @ v
        assert masked.flops == 2 * 2 * K * HIDDEN
        torch.autograd.grad(out.sum(), (q, k, v))
    assert masked.flops == 6 * 2 * K * HIDDEN


def test_what_hides_nothing_wastes_nothing() -> None:
    for cell in (
        Cell(variant="sdpa", seq=200, setting=Setting(causal=True)),
        Cell(variant="linformer", seq=200),
    ):
        with Masked() as masked:
            build(catalog.load(cell.variant), cell).call()
        assert masked.flops == 0


def test_of_the_naive_causal_attention_half_is_useful() -> None:
    cell = Cell(variant="softmax", seq=300, setting=Setting(causal=True))
    with Masked() as masked:
        build(catalog.load("softmax"), cell).call()
    executed = count(catalog.load("softmax"), cell).cost.matmul_flops
    assert executed - masked.flops == 4 * 512 * triangle(300)


def test_a_window_is_useful_where_the_definition_looks() -> None:
    """Keys that a window of 16 holds, against all that blocks of it score."""
    N, W = 256, 16
    cell = Cell(
        variant="sliding-window", seq=N, options={"window": W}, setting=Setting(dim=64, heads=2)
    )
    with Masked() as masked:
        build(catalog.load("sliding-window"), cell).call()
    far = (torch.arange(N)[:, None] - torch.arange(N)).abs()
    useful = 4 * 2 * 32 * int((far <= W // 2).sum())
    executed = count(catalog.load("sliding-window"), cell).cost.matmul_flops
    assert executed - masked.flops == useful
