import pytest
import torch
from torch import Tensor

from effattn_cli.parts import blocks, fused
from effattn_cli.parts.blocks import blocked, blocked_causal, near_root, within
from effattn_cli.parts.lse_merge import Part, union
from tests.references.sdpa import softmax_attention

B, H, T, K = 2, 3, 50, 8


def inputs(tokens: int = T) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (B, tokens, H, K)
    q, k, v = (
        torch.randn(shape, generator=generator).double().transpose(1, 2).requires_grad_()
        for _ in range(3)
    )
    return q, k, v


def same(got: Tensor, want: Tensor, inputs: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1)).double()
    grads = [torch.autograd.grad(out, inputs, upstream) for out in (got, want)]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("block", "before", "after"), [(10, 0, 0), (16, 0, 0), (10, 1, 1), (7, 2, 0), (64, 1, 1)]
)
def test_a_query_sees_its_block_and_those_beside_it(
    block: int, before: int, after: int, padded: bool
) -> None:
    qkv = inputs()
    at_T = torch.arange(T) // block
    away_TT = at_T[:, None] - at_T
    seen_B1TT = ((away_TT <= before) & (away_TT >= -after)).expand(B, 1, T, T)
    valid_BT = torch.arange(T) < torch.tensor([[T], [33]])
    if padded:
        seen_B1TT = seen_B1TT & valid_BT[:, None, None]
    keep_BT = valid_BT if padded else torch.ones_like(valid_BT)
    got = blocked(*qkv, valid_BT if padded else None, block=block, before=before, after=after)
    want = softmax_attention(*qkv, seen_B1TT | torch.eye(T).bool())
    same(got.transpose(1, 2)[keep_BT], want.transpose(1, 2)[keep_BT], qkv)


@pytest.mark.parametrize("kernel", ["cpu", "none"])
@pytest.mark.parametrize(("block", "memory"), [(10, 0), (10, 10), (10, 25), (7, 3), (64, 9)])
def test_a_causal_query_sees_its_block_so_far_and_the_memory_before_it(
    monkeypatch: pytest.MonkeyPatch, block: int, memory: int, kernel: str
) -> None:
    monkeypatch.setattr(fused, "kernel", lambda _: kernel)
    qkv = inputs()
    seen_TT = torch.tensor(
        [[i // block * block - memory <= j <= i for j in range(T)] for i in range(T)]
    )
    same(blocked_causal(*qkv, block=block, memory=memory), softmax_attention(*qkv, seen_TT), qkv)


@pytest.mark.parametrize("kernel", ["cpu", "none"])
def test_parts_of_several_sources_merge_to_one_softmax(
    monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    monkeypatch.setattr(fused, "kernel", lambda _: kernel)
    (q, k, v), (_, more_k, more_v) = inputs(), inputs(13)
    # Every fifth token so far, each by itself, and from token 20 on all of another source.
    parts = [Part(columns=5, causal=True), Part(q=(20, None), source=1)]
    i_T1, j_T = torch.arange(T)[:, None], torch.arange(T)
    seen_TS = torch.cat(
        [(j_T <= i_T1) & ((i_T1 - j_T) % 5 == 0), (i_T1 >= 20).expand(T, 13)], dim=1
    )
    both_k, both_v = (torch.cat(pair, dim=2) for pair in ((k, more_k), (v, more_v)))
    got = union(q, [(k, v), (more_k, more_v)], parts)
    same(got, softmax_attention(q, both_k, both_v, seen_TS), (q, k, v, more_k, more_v))


@torch.no_grad()
def test_a_part_far_below_the_others_counts_for_nothing() -> None:
    (q, k, v), (_, other_k, other_v) = inputs(), inputs(13)
    low_k = torch.cat([-1e6 * torch.ones(B, H, 13, 1), other_k[..., 1:]], dim=-1)
    q = torch.cat([q[..., :1].abs() + 1, q[..., 1:]], dim=-1)
    sources = [(k.float(), v.float()), (low_k.float(), other_v.float())]
    got = union(q.float(), sources, [Part(), Part(source=1)])
    want = softmax_attention(q, k, v)
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_small_blocks_are_the_same_written_out_and_fused(
    masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    qkv, S = inputs(2 * K), 2 * K
    mask = torch.randn(1, H, S, S, dtype=torch.float64, requires_grad=True) if masked else None
    written = within(*qkv, mask)
    monkeypatch.setattr(blocks, "pieces_pay", lambda _: False)
    same(written, within(*qkv, mask), qkv if mask is None else (*qkv, mask))


@pytest.mark.parametrize(
    ("tokens", "size"),
    [(1, 1), (50, 8), (1000, 32), (1024, 32), (1500, 39), (2048, 32), (2304, 48), (3072, 48),
     (4096, 64), (8192, 64), (16384, 128), (24576, 128)],
)  # fmt: skip
def test_the_root_of_a_length_divides_it_where_it_can(tokens: int, size: int) -> None:
    assert near_root(tokens) == size
