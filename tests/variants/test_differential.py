from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.differential import reference
from tests.references.sdpa import reference as exact

Differential = catalog.load("differential")


def layer_of(tokens: int = 50, **shape: Any) -> Any:
    return laws.make(Differential, tokens, **({"dtype": torch.float64} | shape))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (8, 2), (2, 2)])
@pytest.mark.parametrize("depth", [0, 7])
def test_pairs_of_heads_equal_the_reference(
    heads: int, kv_heads: int, depth: int, padded: bool, causal: bool
) -> None:
    layer = layer_of(heads=heads, kv_heads=kv_heads, depth=depth, causal=causal)
    equals_its_reference(layer, reference, padded=padded, parameters=[layer.lambda_4K])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1), (3, 1)])
def test_pairs_of_queries_equal_the_reference(
    heads: int, kv_heads: int, padded: bool, causal: bool
) -> None:
    layer = layer_of(heads=heads, kv_heads=kv_heads, head_dim=8, version=2, causal=causal)
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize("rotary", [0.0, 0.5])
@pytest.mark.parametrize(("version", "kv_heads"), [(1, 4), (1, 2), (2, 4), (2, 1)])
def test_decoding_equals_the_forward(version: int, kv_heads: int, rotary: float) -> None:
    layer = layer_of(40, version=version, kv_heads=kv_heads, rotary=rotary, causal=True)
    equals_the_forward(layer, 40)


@pytest.mark.parametrize("version", [1, 2])
def test_decoding_keeps_no_more_than_exact_attention(version: int) -> None:
    layer = layer_of(40, version=version, kv_heads=2, causal=True)
    assert isinstance(layer, Decodable)
    state = layer.init_state(3, 30)
    assert state.k_BGRK.numel() == state.v_BGRK.numel() == 3 * 2 * 40 * 16


@pytest.mark.parametrize("version", [1, 2])
def test_every_law_of_low_precision_and_length_holds_with_both_versions(version: int) -> None:
    variant = laws.with_options(Differential, {"version": version})
    for law in ("shape and dtype", "any length", "gradients", "padding", "causality", "decoding"):
        laws.LAWS[law](variant)


def test_without_a_second_query_version_2_is_exact_attention() -> None:
    layer = layer_of(version=2)
    q, k, v, _ = layer.project(laws.tokens_in(50).double())
    never = torch.full((2, 4, 50), -torch.inf).double()
    torch.testing.assert_close(layer.attend(q, k, v, never), exact(layer, q[:, ::2], k, v, None))


def test_what_both_softmaxes_see_alike_cancels_out() -> None:
    layer = layer_of()
    torch.nn.init.zeros_(layer.lambda_4K)
    layer.start = 1 - 1e-12  # lambda is as good as 1
    q, k, v = layer.project(laws.tokens_in(50).double())
    q[:, 1::2], k[:, 1::2] = q[:, ::2], k[:, ::2]
    assert (layer.attend(q, k, v) / (1 - layer.start)).abs().max() < 1e-6


def test_lambda_starts_as_in_the_paper() -> None:
    assert layer_of(depth=0).start == pytest.approx(0.2)
    assert layer_of(depth=30).start == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"version": 3}, "version 3 is neither 1 nor 2"),
        ({"depth": -1}, "depth -1 is below 0"),
        ({"heads": 3, "head_dim": 8}, "3 heads are no pairs, which version 1 is made of"),
        ({"kv_heads": 1}, "1 kv heads are no pairs, which version 1 is made of"),
    ],
)
def test_refuses_what_cannot_be_paired(shape: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        layer_of(**shape)
