from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import stabilised
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, leaves_of
from tests.references.mlstm import reference, whole

Mlstm = catalog.load("mlstm")


def mlstm(tokens: int, **options: Any) -> Any:
    return laws.make(Mlstm, tokens, dtype=torch.float64, causal=True, **options)


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
@pytest.mark.parametrize(("tokens", "key_width"), [(1, 0.5), (16, 0.01), (50, 1.0), (64, 2.0)])
def test_equals_its_reference_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, tokens: int, key_width: float, forget: str, pieces: bool
) -> None:
    monkeypatch.setattr(stabilised, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(stabilised, "CACHED", 1)
    monkeypatch.setattr(stabilised, "CHUNK", 16)
    layer = mlstm(tokens, key_width=key_width, forget=forget)
    # A forget gate's gradient is a difference of sums over the chunk.
    equals_its_reference(layer, reference, tolerance=1e-8)


@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
@pytest.mark.parametrize(("write", "keep"), [(60, 4), (4, 60), (-60, 0), (300, -300)])
def test_gates_of_any_size_equal_the_reference(write: float, keep: float, forget: str) -> None:
    """Those that let in up to e^300, and keep from one token to the next as little as e^-600."""
    layer = mlstm(140, forget=forget)
    q, k, v, of_in, of_keep = leaves_of(layer, 140)
    given = q, k, v, write * of_in.sigmoid(), keep * of_keep.sigmoid()
    if forget == "exponential":
        given = *given[:4], given[4].clamp(max=2)  # float64 is to hold what the reference sums
    got, want = layer.attend(*given), reference(layer, *given, None)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    leaves = [x.requires_grad_() for x in (q, k, v, of_in, of_keep)]
    grads = (torch.autograd.grad(out.sum(), leaves, retain_graph=True) for out in (got, want))
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
def test_nothing_overflows_in_half_types(forget: str) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        layer = mlstm(200, forget=forget)
        q, k, v, of_in, of_keep = leaves_of(layer, 200)
        for scale in (1e3, -1e3):
            given = (q, k, v, scale * of_in, scale * of_keep)
            leaves = [x.detach().to(dtype).requires_grad_() for x in given]
            y_BHTV = layer.attend(*leaves)
            assert y_BHTV.isfinite().all()
            grads = torch.autograd.grad(y_BHTV.float().sum(), leaves)
            assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize(
    "options", [{}, {"gate_cap": 0.0}, {"gate_cap": 0.5}, {"forget": "exponential", "kv_heads": 2}]
)
def test_the_layer_equals_its_definition(options: dict[str, Any]) -> None:
    layer = mlstm(70, **options)
    torch.nn.init.normal_(layer.norm_E)  # ones would hide a mistake
    x_BTD = laws.tokens_in(70).double()
    if "kv_heads" not in options:
        torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 70)


@torch.no_grad()
def test_with_open_gates_it_is_a_sum_of_all() -> None:
    """Without a softmax, over as much as is summed, and at least over 1."""
    layer = mlstm(90, forget="exponential", key_width=1.0)
    q, k, v, *gates = leaves_of(layer, 90)
    scores_BHTT = (q @ k.mT / 4).tril()
    bottom_BHT1 = scores_BHTT.sum(-1, keepdim=True).abs().clamp(min=1)
    got = layer.attend(q, k, v, *(torch.zeros_like(gate) for gate in gates))
    torch.testing.assert_close(got, scores_BHTT @ v / bottom_BHT1, rtol=1e-9, atol=1e-9)
    closed = torch.zeros_like(gates[0]), torch.full_like(gates[1], -800.0)
    alone = layer.attend(q, k, v, *closed)
    own_BHT1 = scores_BHTT.diagonal(dim1=2, dim2=3).unsqueeze(3)
    torch.testing.assert_close(alone, v * own_BHT1 / own_BHT1.abs().clamp(min=1))


def test_what_decoding_keeps_does_not_grow_with_the_context() -> None:
    layer = mlstm(100, key_width=0.25).to(torch.bfloat16)
    for context in (0, 10, 100_000):
        state = layer.init_state(3, context)
        assert state.sum_BHEF.shape == (3, 4, 17, 4)
        assert state.top_BH.shape == (3, 4)
        assert state.sum_BHEF.dtype == state.top_BH.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_width": 0.0}, "key_width 0.0 is not above 0"),
        ({"gate_cap": -1.0}, "gate_cap -1.0 is below 0"),
        ({"forget": "tanh"}, "forget 'tanh' is neither sigmoid nor exponential"),
    ],
)
def test_refuses_what_there_is_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        mlstm(50, **options)
