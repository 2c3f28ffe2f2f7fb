import importlib

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Decodable
from effattn_cli.errors import Unsupported
from tests.references.reformer import reference
from tests.references.sdpa import softmax_attention, visible

Reformer = catalog.load("reformer")
module = importlib.import_module(Reformer.__module__)


def rotations(layer: Attention) -> list[Tensor]:
    return [buffer for name, buffer in layer.named_buffers() if "rotation" in name]


def exact(layer: Attention, q_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
    """Attention with queries for keys, to itself only where there is nothing else."""
    T = q_BHTK.shape[2]
    seen_BHTS = visible(T, causal=layer.causal) & ~torch.eye(T, dtype=torch.bool)
    seen_BHTS |= torch.eye(T, dtype=torch.bool) & ~seen_BHTS.any(-1, keepdim=True)
    unit_BHTK = q_BHTK / q_BHTK.norm(dim=-1, keepdim=True)
    return softmax_attention(q_BHTK, unit_BHTK, v_BHTK, seen_BHTS)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tokens", [1, 50, 64])
def test_one_chunk_is_exact_attention(tokens: int, causal: bool) -> None:
    layer = laws.make(Reformer, tokens, dtype=torch.float64, causal=causal, hashes=3)
    q, k, v = layer.project(laws.tokens_in(tokens).double())
    torch.testing.assert_close(layer.attend(q, k, v), exact(layer, q, v), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_error_falls_with_rounds() -> None:
    errors = []
    for hashes in (1, 8, 64):
        layer = laws.make(Reformer, 300, dtype=torch.float64, bucket_size=16, hashes=hashes)
        q, k, v = layer.project(laws.tokens_in(300).double())
        want = exact(layer, 20 * q, v)
        errors.append((layer.attend(20 * q, k, v) - want).norm() / want.norm())
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bucket_size", [1, 7, 16])
def test_equals_its_reference_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, bucket_size: int, causal: bool, pieces: bool
) -> None:
    monkeypatch.setattr(module, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(module, "CACHED", 1)
    shape = {"bucket_size": bucket_size, "hashes": 2, "causal": causal}
    layer = laws.make(Reformer, 150, dtype=torch.float64, **shape)
    valid_BT = torch.arange(150) < torch.tensor([[150], [83]])
    q, k, v = (x.detach().requires_grad_() for x in layer.project(laws.tokens_in(150).double()))
    both = layer.attend(q, k, v, valid_BT), reference(layer, q, k, v, valid_BT)
    outs = [out_BHTK.transpose(1, 2)[valid_BT] for out_BHTK in both]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad(out.square().sum(), (q, v)) for out in outs]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_step_is_the_last_row_of_a_forward_over_the_tokens_so_far() -> None:
    shape = {"bucket_size": 8, "hashes": 3, "causal": True}
    layer = laws.make(Reformer, 90, dtype=torch.float64, **shape)
    assert isinstance(layer, Decodable)
    x, state = laws.tokens_in(90).double(), layer.init_state(2, 0)
    for t in range(90):
        step, state = layer.decode(x[:, t], state)
        torch.testing.assert_close(step, layer(x[:, : t + 1])[:, t], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_values_of_later_tokens_never_leak() -> None:
    layer = laws.make(Reformer, 200, causal=True, bucket_size=16)
    q, k, v = layer.project(laws.tokens_in(200))
    y = layer.attend(q, k, v)
    for t in (0, 1, 77, 199):
        changed = v.clone()
        changed[:, :, t:] += 1
        assert torch.equal(layer.attend(q, k, changed)[:, :, :t], y[:, :, :t])


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_stays_finite_with_queries_of_any_length(dtype: torch.dtype) -> None:
    layer = laws.make(Reformer, 80, dtype=dtype, causal=True)
    q, k, v = (torch.randn(3, 2, 4, 80, 16) / 4).to(dtype)
    for scale in (0, 1, 1000):
        assert layer.attend(scale * q, k, v).isfinite().all()


@pytest.mark.parametrize(
    ("tokens", "directions"), [(1, [1]), (2048, [32]), (4096, [4, 8]), (16384, [8, 16])]
)
def test_many_buckets_are_a_product_of_few_directions(tokens: int, directions: list[int]) -> None:
    layer = laws.make(Reformer, tokens)
    assert [rotation_KRS.shape[-1] for rotation_KRS in rotations(layer)] == directions


@torch.no_grad()
def test_a_bucket_is_told_by_the_direction_alone() -> None:
    layer = laws.make(Reformer, 4096)
    q_BHTK = layer.project(laws.tokens_in(500))[0]
    bucket_of = layer.get_submodule("hash")
    bucket_BHRT = bucket_of(q_BHTK)
    assert torch.equal(bucket_of(7 * q_BHTK), bucket_BHRT)
    assert 0 <= bucket_BHRT.min() < bucket_BHRT.max() < 128
    assert len(bucket_BHRT.unique()) > 100


def test_refuses_options_below_1() -> None:
    with pytest.raises(Unsupported, match=r"^bucket_size 0 is below 1$"):
        laws.make(Reformer, 50, bucket_size=0)
    with pytest.raises(Unsupported, match=r"^hashes -1 is below 1$"):
        laws.make(Reformer, 50, hashes=-1)
