import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import chunked
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.based import reference
from tests.references.sdpa import reference as exact

Based = catalog.load("based")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("feature_dim", [2, 4, 24])
def test_other_widths_equal_the_reference(feature_dim: int, causal: bool, padded: bool) -> None:
    layer = laws.make(
        Based, 150, dtype=torch.float64, causal=causal, feature_dim=feature_dim, kv_heads=4
    )
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pieces", [False, True])
def test_equals_its_reference_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, pieces: bool, causal: bool
) -> None:
    monkeypatch.setattr(chunked, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(chunked, "CACHED", 1)
    equals_its_reference(laws.make(Based, 150, dtype=torch.float64, causal=causal), reference)


@torch.no_grad()
@pytest.mark.parametrize("feature_dim", [2, 6, 16])
def test_features_of_query_and_key_multiply_to_the_polynomial(feature_dim: int) -> None:
    layer = laws.make(Based, 8, dtype=torch.float64, feature_dim=feature_dim)
    assert isinstance(layer, chunked.DecodableKernel)
    q, k = 3 * torch.randn(2, 1, 1, 50, feature_dim, dtype=torch.float64)
    q_features, k_features = layer.query(q), layer.key(k)
    assert q_features.shape[-1] == layer.width == 1 + feature_dim * (feature_dim + 3) // 2
    s = q @ k.mT / feature_dim**0.5
    torch.testing.assert_close(q_features @ k_features.mT, 1 + s + s**2 / 2)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_comes_near_to_softmax_with_the_cube_of_small_scores(causal: bool) -> None:
    layer = laws.make(Based, 60, dtype=torch.float64, causal=causal)
    q, k, v = layer.project(laws.tokens_in(60).double())
    errors = []
    for scale in (1.0, 0.5, 0.25):
        want = exact(layer, scale * q, k, v, None)
        errors.append((layer.attend(scale * q, k, v) - want).norm())
    assert errors[0] > 6 * errors[1] > 6**2 * errors[2]  # ideally 8 and 8^2


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_stays_finite_at_large_scores(dtype: torch.dtype, causal: bool) -> None:
    layer = laws.make(Based, 80, dtype=dtype, causal=causal)
    q, k, v = layer.project(laws.tokens_in(80, dtype=dtype))
    assert layer.attend(100 * q, 100 * k, v).isfinite().all()


@torch.no_grad()
def test_decoding_keeps_a_sum_for_each_feature() -> None:
    layer = laws.make(Based, 80, dtype=torch.float64, causal=True)
    assert equals_the_forward(layer, 80).sum_BHEF.shape == (laws.B, 4, 16 + 1, 153)
    assert isinstance(layer, Decodable)
    assert layer.init_state(2, 79).sum_BHEF.shape == (2, 4, 16 + 1, 153)


@torch.no_grad()
def test_queries_and_keys_are_narrow_and_values_are_not() -> None:
    layer = laws.make(Based, 80, dim=256, heads=2)
    shapes = {
        name: tuple(part.get_parameter("weight").shape) for name, part in layer.projections.items()
    }
    assert shapes == {"q": (32, 256), "k": (32, 256), "v": (256, 256), "out": (256, 256)}
    assert layer(torch.randn(1, 80, 256)).shape == (1, 80, 256)


@pytest.mark.parametrize("feature_dim", [0, 7, -2])
def test_refuses_a_width_that_is_odd_or_nothing(feature_dim: int) -> None:
    message = rf"^feature_dim {feature_dim} is not a positive even number$"
    with pytest.raises(Unsupported, match=message):
        laws.make(Based, 50, feature_dim=feature_dim)
