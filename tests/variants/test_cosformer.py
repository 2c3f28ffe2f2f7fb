import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import chunked
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.cosformer import reference

CosFormer = catalog.load("cosformer")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("tokens", [64, 150])
def test_places_are_right_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, tokens: int, pieces: bool, causal: bool, padded: bool
) -> None:
    monkeypatch.setattr(chunked, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(chunked, "CACHED", 1)
    layer = laws.make(CosFormer, tokens, dtype=torch.float64, causal=causal)
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize("causal", [False, True])
def test_a_longer_reach_equals_its_reference(causal: bool) -> None:
    layer = laws.make(CosFormer, 100, dtype=torch.float64, causal=causal, reach=1000)
    equals_its_reference(layer, reference)
    equals_its_reference(layer, reference, tokens=37)


@torch.no_grad()
def test_decoding_counts_its_tokens() -> None:
    layer = laws.make(CosFormer, 90, dtype=torch.float64, causal=True, reach=200)
    assert equals_the_forward(layer, 90).length == 90
    assert isinstance(layer, Decodable)
    assert layer.init_state(2, 70).length == 70


@torch.no_grad()
@pytest.mark.parametrize("reach", [30, 10**9])
def test_a_far_reach_forgets_the_places(reach: int) -> None:
    """Where all cosines are 1, only the product of the rectified numbers is left."""
    layer = laws.make(CosFormer, 30, dtype=torch.float64, reach=reach)
    q, k, v = layer.project(laws.tokens_in(30).double())
    weights = q.relu() @ k.relu().mT
    want = weights / weights.sum(-1, keepdim=True) @ v
    off = (layer.attend(q, k, v) - want).abs().max()
    assert off < 1e-9 if reach > 30 else off > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_weighs_the_nearer_of_two_equal_keys_more_and_none_at_the_reach(causal: bool) -> None:
    layer = laws.make(CosFormer, 61, dtype=torch.float64, causal=causal, dim=4, heads=1, reach=61)
    q = k = torch.ones(1, 1, 61, 4, dtype=torch.float64)
    v = torch.eye(61, dtype=torch.float64)[None, None, :, :4]  # which weight goes to the first ones
    weight = layer.attend(q, k, v)[0, 0, -1]
    assert (weight.diff() > 0).all()
    assert 0 < weight[0] < 1e-3  # 60 of 61 away


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_query_without_a_positive_number_gives_nothing(dtype: torch.dtype, causal: bool) -> None:
    layer = laws.make(CosFormer, 20, dtype=dtype, causal=causal)
    q, k, v = layer.project(laws.tokens_in(20, dtype=dtype))
    out = layer.attend(-q.abs(), k, v)
    assert torch.equal(out, torch.zeros_like(out))


def test_refuses_a_reach_below_the_length() -> None:
    with pytest.raises(Unsupported, match=r"^reach 49 is below the longest length, 50$"):
        laws.make(CosFormer, 50, reach=49)
