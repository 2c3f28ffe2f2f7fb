import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Decodable
from effattn_cli.parts import chunked
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.hedgehog import reference
from tests.references.sdpa import reference as exact

Hedgehog = catalog.load("hedgehog")


def with_maps_of_their_own(tokens: int, *, causal: bool) -> Attention:
    layer = laws.make(Hedgehog, tokens, dtype=torch.float64, causal=causal)
    for name in ("query_HKK", "key_HKK"):
        torch.nn.init.normal_(layer.get_parameter(name))
    return layer


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pieces", [False, True])
def test_any_maps_equal_the_reference_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, pieces: bool, causal: bool, padded: bool
) -> None:
    monkeypatch.setattr(chunked, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(chunked, "CACHED", 1)
    layer = with_maps_of_their_own(150, causal=causal)
    maps = [layer.get_parameter(name) for name in ("query_HKK", "key_HKK")]
    equals_its_reference(layer, reference, padded=padded, parameters=maps)


@torch.no_grad()
def test_any_maps_decode() -> None:
    equals_the_forward(with_maps_of_their_own(80, causal=True), 80)


@torch.no_grad()
def test_starts_with_the_numbers_of_queries_and_keys_themselves() -> None:
    layer = laws.make(Hedgehog, 30, dtype=torch.float64)
    assert isinstance(layer, chunked.DecodableKernel)
    x = torch.randn(2, 4, 30, 16, dtype=torch.float64)
    want = torch.cat([x.softmax(-1), (-x).softmax(-1)], dim=-1)
    torch.testing.assert_close(layer.query(x), want)
    torch.testing.assert_close(layer.key(x), want)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_maps_to_nothing_weigh_all_keys_alike(causal: bool) -> None:
    layer = laws.make(Hedgehog, 50, dtype=torch.float64, causal=causal)
    layer.get_parameter("query_HKK").zero_()
    q, k, v = layer.project(laws.tokens_in(50).double())
    want = v.mean(2, keepdim=True).expand_as(v)
    if causal:
        want = v.cumsum(2) / torch.arange(1, 51)[:, None]
    torch.testing.assert_close(layer.attend(q, k, v), want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_large_map_finds_the_key_that_matches() -> None:
    """As spiky as softmax: of 16 keys, each query sees the one with its largest and smallest."""
    layer = laws.make(Hedgehog, 16, dtype=torch.float64)
    for name in ("query_HKK", "key_HKK"):
        layer.get_parameter(name).mul_(100)
    same = torch.eye(16, dtype=torch.float64)
    q = (same - same.roll(1, 1)).expand(1, 4, -1, -1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    v = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    out = layer.attend(q, q[:, :, order], v[:, :, order])
    torch.testing.assert_close(out, v, rtol=1e-9, atol=1e-9)


def test_training_brings_it_near_to_softmax() -> None:
    """What the paper learns the maps for."""
    layer = laws.make(Hedgehog, 40, dtype=torch.float64)
    maps = [layer.get_parameter(name) for name in ("query_HKK", "key_HKK")]
    q, k, v = (3 * x.detach() for x in layer.project(laws.tokens_in(40).double()))
    want = exact(layer, q, k, v, None)
    descent = torch.optim.Adam(maps, lr=0.05)
    errors = []
    for _ in range(60):
        loss = (layer.attend(q, k, v) - want).square().mean()
        errors.append(loss.item())
        for each, grad in zip(maps, torch.autograd.grad(loss, maps), strict=True):
            each.grad = grad
        descent.step()
    assert errors[-1] < 0.5 * errors[0]


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_stays_finite_where_all_features_are_one_or_zero(dtype: torch.dtype, causal: bool) -> None:
    layer = laws.make(Hedgehog, 80, dtype=dtype, causal=causal)
    q, k, v = layer.project(laws.tokens_in(80, dtype=dtype))
    assert layer.attend(1000 * q, 1000 * k, v).isfinite().all()


def test_decoding_keeps_two_features_a_channel() -> None:
    layer = laws.make(Hedgehog, 10_000, causal=True)
    assert isinstance(layer, Decodable)
    assert layer.init_state(2, 9_999).sum_BHEF.shape == (2, 4, 16 + 1, 32)
