import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, mean_error
from tests.references.longformer import reference, seen
from tests.references.sdpa import reference as exact
from tests.references.sdpa import softmax_attention

Longformer = catalog.load("longformer")


def longformer(tokens: int, **options: int | bool) -> Attention:
    return laws.make(Longformer, tokens, dtype=torch.float64, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "first"), [(2, 1), (8, 3), (100, 1), (40, 70), (16, 200)])
def test_equals_its_reference_across_blocks(
    window: int, first: int, causal: bool, padded: bool
) -> None:
    layer = longformer(150, kv_heads=2, window=window, global_tokens=first, causal=causal)
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize(
    ("causal", "row", "keys"),
    [
        (False, 3, [0, 1, 2, 3, 4, 5]),  # global token 1 is in the window too
        (False, 9, [0, 1, 7, 8, 9, 10, 11]),
        (False, 1, list(range(40))),
        (True, 9, [0, 1, 7, 8, 9]),
        (True, 0, [0]),
    ],
)
def test_a_row_weighs_these_keys_once_each(causal: bool, row: int, keys: list[int]) -> None:
    layer = longformer(40, dim=160, window=4, global_tokens=2, causal=causal)
    same_BHTK = torch.zeros(1, 4, 40, 40).double()
    weights_TT = layer.attend(same_BHTK, same_BHTK, torch.eye(40).double().expand(1, 4, -1, -1))[
        0, 0
    ]
    want_T = torch.zeros(40).double()
    want_T[keys] = 1 / len(keys)
    torch.testing.assert_close(weights_TT[row], want_T)


@torch.no_grad()
def test_global_rows_of_the_layer_have_projections_of_their_own() -> None:
    layer, x_BTD = longformer(60, window=8, global_tokens=3), laws.tokens_in(60).double()
    for part in ("global_q", "global_k", "global_v"):
        torch.nn.init.normal_(layer.projections[part].get_parameter("weight"))
    q_BHTK, k_BHTK, v_BHTK = layer.project(x_BTD)
    local_BHTK = reference(layer, q_BHTK, k_BHTK, v_BHTK, None)
    q_BHTK, k_BHTK, v_BHTK = (
        layer.projections[f"global_{part}"](x_BTD).unflatten(2, (4, 16)).transpose(1, 2)
        for part in "qkv"
    )
    rows_BHTK = softmax_attention(q_BHTK, k_BHTK, v_BHTK, seen(layer, laws.B, 60, None))
    y_BHTK = torch.cat([rows_BHTK[:, :, :3], local_BHTK[:, :, 3:]], dim=2)
    want_BTD = layer.projections["out"](y_BHTK.transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x_BTD), want_BTD, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("causal", [False, True])
def test_becomes_exact_as_the_window_grows(causal: bool) -> None:
    errors = []
    for window in (8, 32, 128, 400):
        layer = longformer(200, window=window, causal=causal)
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-4
    assert errors[3] < 1e-12


@torch.no_grad()
def test_decoding_equals_the_forward_after_the_ring_has_gone_round() -> None:
    layer = longformer(40, kv_heads=2, window=10, global_tokens=3, causal=True)
    state = equals_the_forward(layer, 40)
    assert state.k_BGRK.shape[2] == 3 + 6  # the global tokens; half the window and the token


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 7}, "window 7 is not a positive even number"),
        ({"window": 0}, "window 0 is not a positive even number"),
        ({"global_tokens": 0}, "global_tokens 0 is below 1"),
    ],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        longformer(40, **options)
