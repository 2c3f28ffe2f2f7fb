import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, mean_error
from tests.references.sdpa import reference as exact
from tests.references.sliding_window import reference

SlidingWindow = catalog.load("sliding-window")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 2, 7, 64, 100])
def test_equals_its_reference_across_blocks(window: int, causal: bool, padded: bool) -> None:
    layer = laws.make(
        SlidingWindow, 150, dtype=torch.float64, kv_heads=2, window=window, causal=causal
    )
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize(
    ("causal", "window", "seen"),
    [(True, 5, range(56, 61)), (False, 5, range(58, 63)), (False, 4, range(58, 63))],
)
def test_query_60_sees_these_keys_and_no_other(causal: bool, window: int, seen: range) -> None:
    layer = laws.make(SlidingWindow, 100, window=window, causal=causal)
    k_BHTK = torch.randn(1, 4, 100, 16).requires_grad_()
    y_BHTK = layer.attend(torch.randn(1, 4, 100, 16), k_BHTK, torch.randn(1, 4, 100, 16))
    (grad_BHTK,) = torch.autograd.grad(y_BHTK[:, :, 60].sum(), k_BHTK)
    assert grad_BHTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist() == list(seen)


@pytest.mark.parametrize("causal", [False, True])
def test_becomes_exact_as_the_window_grows(causal: bool) -> None:
    errors = []
    for window in (8, 32, 128, 400):
        layer = laws.make(SlidingWindow, 200, dtype=torch.float64, window=window, causal=causal)
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-4
    assert errors[3] < 1e-12


@torch.no_grad()
def test_decoding_equals_the_forward_after_the_ring_has_gone_round() -> None:
    layer = laws.make(SlidingWindow, 40, dtype=torch.float64, kv_heads=2, window=6, causal=True)
    equals_the_forward(layer, 40)


def test_what_decoding_keeps_does_not_grow_with_the_context() -> None:
    layer = laws.make(SlidingWindow, 40, kv_heads=2, window=6, causal=True)
    assert isinstance(layer, Decodable)
    for context in (0, 10, 100_000):
        assert layer.init_state(3, context).k_BGRK.shape == (3, 2, 6, 16)


def test_refuses_a_window_without_keys() -> None:
    with pytest.raises(Unsupported, match=r"^window 0 is below 1$"):
        laws.make(SlidingWindow, 40, window=0)


@pytest.mark.parametrize("kv_heads", [1, 4])
@pytest.mark.parametrize("sinks", ["first", "learned"])
@pytest.mark.parametrize("window", [1, 7, 64, 200])
def test_sinks_equal_the_reference(window: int, sinks: str, kv_heads: int) -> None:
    layer = laws.make(
        SlidingWindow, 150, dtype=torch.float64, kv_heads=kv_heads, window=window, causal=True,
        sinks=sinks,
    )  # fmt: skip
    equals_its_reference(layer, reference, parameters=list(layer.parameters(recurse=False)))


@pytest.mark.parametrize("sinks", ["first", "learned"])
def test_decoding_keeps_the_sinks(sinks: str) -> None:
    layer = laws.make(
        SlidingWindow, 40, dtype=torch.float64, kv_heads=2, window=6, causal=True, sinks=sinks
    )
    state = equals_the_forward(layer, 40)
    assert state.k_BGRK.shape[2] == 6 + (4 if sinks == "first" else 0)


def test_first_tokens_are_sinks_of_an_encoder_too() -> None:
    layer = laws.make(SlidingWindow, 90, dtype=torch.float64, window=9, sinks="first")
    equals_its_reference(layer, reference, padded=True)


def test_refuses_sinks_that_there_are_not() -> None:
    with pytest.raises(Unsupported, match=r"^sinks 'all' is not none, first or learned$"):
        laws.make(SlidingWindow, 40, sinks="all")
    with pytest.raises(Unsupported, match="causal"):
        laws.make(SlidingWindow, 40, sinks="learned")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("gate", ["element", "head", "softplus"])
def test_a_gate_lets_a_share_of_the_output_through(gate: str, causal: bool) -> None:
    layer = laws.make(
        SlidingWindow, 60, dtype=torch.float64, kv_heads=2, window=7, causal=causal, gate=gate
    )
    equals_its_reference(layer, reference, padded=not causal)
    if causal:
        equals_the_forward(layer, 20)


def test_a_gate_may_stand_beside_learned_sinks() -> None:
    layer = laws.make(
        SlidingWindow, 60, dtype=torch.float64, window=7, causal=True, gate="head", sinks="learned"
    )
    equals_its_reference(layer, reference, padded=False)
    equals_the_forward(layer, 20)


def test_refuses_a_gate_that_there_is_not() -> None:
    with pytest.raises(Unsupported, match=r"^gate 'relu' is not element, head or softplus$"):
        laws.make(SlidingWindow, 8, gate="relu")
