from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import fused
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, mean_error
from tests.growth import scaling
from tests.references.h_transformer_1d import reference
from tests.references.sdpa import reference as exact

HTransformer1D = catalog.load("h-transformer-1d")


def layer_of(tokens: int, **shape: Any) -> Any:
    return laws.make(HTransformer1D, tokens, **({"dtype": torch.float64} | shape))


@pytest.mark.parametrize("kernel", ["cpu", "none"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rank", [2, 6, 16])
@pytest.mark.parametrize("tokens", [1, 9, 33, 64, 100])
def test_levels_equal_the_reference(
    monkeypatch: pytest.MonkeyPatch, tokens: int, rank: int, causal: bool, kernel: str
) -> None:
    monkeypatch.setattr(fused, "kernel", lambda _: kernel)
    for padded in (False, True):
        equals_its_reference(layer_of(tokens, rank=rank, causal=causal), reference, padded=padded)


@pytest.mark.parametrize("causal", [False, True])
def test_nothing_is_dropped_and_each_token_counts_once(causal: bool) -> None:
    """With scores of 0, the output is the mean of all values that may be seen."""
    layer = layer_of(300, causal=causal)
    q, k, v = layer.project(laws.tokens_in(300).double())
    want = v.cumsum(2) / torch.arange(1, 301)[:, None] if causal else v.mean(2, keepdim=True)
    got = layer.attend(torch.zeros_like(q), k, v)
    torch.testing.assert_close(got, want.expand_as(got), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("causal", [False, True])
def test_becomes_exact_as_blocks_grow(causal: bool) -> None:
    errors = [mean_error(layer_of(200, rank=rank, causal=causal), exact) for rank in (4, 32, 100)]
    assert errors[0] > errors[1] > 1e-3
    assert errors[2] < 1e-12


@pytest.mark.parametrize("rank", [2, 4, 16])
def test_decoding_equals_the_forward(rank: int) -> None:
    equals_the_forward(layer_of(90, rank=rank, causal=True, kv_heads=2), 90)


def test_decoding_keeps_two_blocks_a_level() -> None:
    layer = layer_of(100, rank=4, causal=True)
    assert isinstance(layer, Decodable)
    for context, levels in ((0, 5), (99, 5), (128, 6), (2**20, 19)):
        assert layer.init_state(3, context).k_BHLRK.shape == (3, 4, levels, 8, 16)


@pytest.mark.parametrize(("causal", "low", "high"), [(False, 0.98, 1.02), (True, 1.05, 1.2)])
def test_work_grows_with_the_length_and_causal_by_its_logarithm_more(
    causal: bool, low: float, high: float
) -> None:
    found = scaling(HTransformer1D, 4096, 16384, Setting(causal=causal), {})
    assert low < found.flops < high
    assert found.memory < 1.03


@pytest.mark.parametrize("rank", [-2, 0, 1, 7])
def test_refuses_blocks_without_halves(rank: int) -> None:
    with pytest.raises(Unsupported, match=rf"^rank {rank} is no even number from 2 on$"):
        layer_of(40, rank=rank)
