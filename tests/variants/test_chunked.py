import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, mean_error
from tests.references.chunked import reference
from tests.references.sdpa import reference as exact

ChunkedAttention = catalog.load("chunked")


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("chunk", [1, 7, 50, 64, 200])
def test_equals_its_reference_whatever_is_left_over(chunk: int, kv_heads: int) -> None:
    layer = laws.make(
        ChunkedAttention, 100, dtype=torch.float64, kv_heads=kv_heads, chunk=chunk, causal=True
    )
    equals_its_reference(layer, reference, padded=True)


@pytest.mark.parametrize("query", [0, 19, 20, 33, 39, 40])
def test_a_query_sees_its_chunk_so_far_and_no_other_key(query: int) -> None:
    layer = laws.make(ChunkedAttention, 50, chunk=20, causal=True)
    k_BHTK = torch.randn(1, 4, 50, 16).requires_grad_()
    v_BHTK = torch.randn(1, 4, 50, 16).requires_grad_()
    y_BHTK = layer.attend(torch.randn(1, 4, 50, 16), k_BHTK, v_BHTK)
    (grad_BHTK,) = torch.autograd.grad(y_BHTK[:, :, query].sum(), v_BHTK)
    seen = grad_BHTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    assert seen == list(range(query // 20 * 20, query + 1))


def test_is_exact_attention_from_a_chunk_of_the_whole_length_on() -> None:
    errors = []
    for chunk in (16, 64, 199, 200, 1000):
        layer = laws.make(
            ChunkedAttention, 200, dtype=torch.float64, chunk=chunk, causal=True, rotary=1.0
        )
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-6
    assert max(errors[3:]) < 1e-12


@pytest.mark.parametrize("rotary", [0.0, 0.5])
def test_decoding_starts_anew_with_each_chunk(rotary: float) -> None:
    layer = laws.make(
        ChunkedAttention, 40, dtype=torch.float64, kv_heads=2, chunk=6, causal=True, rotary=rotary
    )
    state = equals_the_forward(layer, 40)
    assert state.length == 40


def test_decoding_keeps_a_chunk_at_most() -> None:
    layer = laws.make(ChunkedAttention, 40, kv_heads=2, chunk=30, causal=True)
    assert isinstance(layer, Decodable)
    for context in (0, 30, 100_000):
        assert layer.init_state(3, context).k_BGCK.shape == (3, 2, 30, 16)
    short = laws.make(ChunkedAttention, 40, chunk=8192, causal=True)
    assert isinstance(short, Decodable)
    assert short.init_state(3, 10).k_BGCK.shape == (3, 4, 40, 16)


def test_refuses_a_chunk_without_tokens_and_later_keys() -> None:
    with pytest.raises(Unsupported, match=r"^chunk 0 is below 1$"):
        laws.make(ChunkedAttention, 40, chunk=0, causal=True)
    with pytest.raises(Unsupported, match=r"^Chunked attention is always causal$"):
        laws.make(ChunkedAttention, 40)
