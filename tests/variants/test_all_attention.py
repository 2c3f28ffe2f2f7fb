import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.references.sdpa import reference as exact

AllAttention = catalog.load("all-attention")


@pytest.mark.parametrize("causal", [False, True])
def test_is_exact_attention_where_no_query_likes_a_vector(causal: bool) -> None:
    layer = laws.make(AllAttention, 40, dtype=torch.float64, vectors=3, causal=causal)
    q, k, v = layer.project(laws.tokens_in(40).double())
    q = torch.cat([torch.ones_like(q[..., :1]), q[..., 1:]], dim=-1)
    with torch.no_grad():
        layer.get_parameter("k_HMK")[..., 0] = -1e4
    torch.testing.assert_close(layer.attend(q, k, v), exact(layer, q, k, v, None))


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_every_query_weighs_every_vector_beside_its_tokens(causal: bool) -> None:
    layer = laws.make(AllAttention, 10, dtype=torch.float64, vectors=6, causal=causal)
    layer.get_parameter("k_HMK").zero_()
    layer.get_parameter("v_HMK").fill_(1)
    nothing = torch.zeros(1, 4, 10, 16).double()
    y_T = layer.attend(nothing, nothing, nothing)[0, 2, :, 5]
    tokens_T = torch.arange(1, 11) if causal else torch.full((10,), 10)
    torch.testing.assert_close(y_T, 6 / (6 + tokens_T.double()))


def test_decoding_keeps_the_vectors_once_for_each_sequence() -> None:
    layer = laws.make(AllAttention, 40, vectors=7, causal=True)
    assert isinstance(layer, Decodable)
    state = layer.init_state(3, 20)
    assert state.k_BGRK.shape == (3, 4, 47, 16)
    assert torch.equal(state.v_BGRK[1, :, :7], layer.get_parameter("v_HMK"))
    assert state.length == 27


def test_refuses_to_have_no_vectors() -> None:
    with pytest.raises(Unsupported, match=r"^vectors 0 is below 1$"):
        laws.make(AllAttention, 40, vectors=0)
