from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention, silu

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import moving_average
from tests.decoding import equals_the_forward
from tests.references.mega import reference, whole

Mega = catalog.load("mega")


def equals_its_reference(layer: Any, *, padded: bool = False) -> None:
    """Output and gradients, with values of the core's own."""
    tokens = layer.config.tokens
    torch.manual_seed(2)
    x, v = (
        spec.random(layer, 2, tokens, dtype=torch.float64).requires_grad_()
        for spec in layer.inputs.values()
    )
    valid_BT = torch.arange(tokens) < torch.tensor([[tokens], [-(-2 * tokens // 5)]])
    mask_BT = valid_BT if padded else None
    keep_BT = valid_BT if padded else torch.ones_like(valid_BT)
    leaves = [x, v, *(p for name, p in layer.named_parameters() if "projections" not in name)]
    outs = [
        out[:, 0][keep_BT] for out in (layer.attend(x, v, mask_BT), reference(layer, x, v, mask_BT))
    ]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    got, want = (torch.autograd.grad(out.square().sum(), leaves) for out in outs)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("causal", "padded"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize(
    "options",
    [
        {"chunk": 1}, {"chunk": 7}, {"chunk": 100}, {"width": 5}, {"average": 1}, {"average": 3},
        {"weights": "laplace", "chunk": 8}, {"weights": "laplace", "chunk": 100},
    ],
)  # fmt: skip
def test_options_equal_the_reference(options: dict[str, Any], causal: bool, padded: bool) -> None:
    layer = laws.make(Mega, 30, dtype=torch.float64, causal=causal, dim=12, **options)
    equals_its_reference(layer, padded=padded)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 5, 1000])
def test_the_average_is_the_same_however_it_is_cut(
    monkeypatch: pytest.MonkeyPatch, chunk: int, pieces: bool, causal: bool
) -> None:
    monkeypatch.setattr(moving_average, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(moving_average, "CHUNK", chunk)
    equals_its_reference(laws.make(Mega, 23, dtype=torch.float64, causal=causal, dim=12))


@torch.no_grad()
@pytest.mark.parametrize("weights", ["softmax", "laplace"])
def test_decoding_keeps_a_chunk_and_the_averages(weights: str) -> None:
    layer = laws.make(
        Mega, 60, dtype=torch.float64, causal=True, chunk=16, width=24, average=3, weights=weights
    )
    state = equals_the_forward(layer, 60)
    assert state.length == 60
    assert state.m_BDS.shape == (laws.B, 64, 3)
    assert state.k_BCE.shape == (laws.B, 16, 24)
    assert state.v_BCV.shape == (laws.B, 16, 128)
    assert isinstance(layer, Decodable)
    assert layer.period == 16


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_the_whole_layer_with_laplace_weights(causal: bool) -> None:
    layer = laws.make(Mega, 40, dtype=torch.float64, causal=causal, chunk=16, weights="laplace")
    x = laws.tokens_in(40).double()
    torch.testing.assert_close(layer(x), whole(layer, x), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_the_simplest_average_is_exponential_smoothing() -> None:
    """One number a channel, beta and eta 1, delta 1, nothing past it: y = a x + (1 - a) y."""
    layer = laws.make(Mega, 50, dtype=torch.float64, causal=True, average=1)
    average: Any = layer.average
    for name, value in {"beta_CS": 1, "eta_CS": 1, "delta_CS": 30, "omega_D": 0}.items():
        average.get_parameter(name).fill_(value)
    average.alpha_CS.fill_(0.0)  # a half
    x, y, want = laws.tokens_in(50).double(), torch.zeros(laws.B, 64).double(), []
    for t in range(50):
        y = (x[:, t] + y) / 2
        want.append(silu(y))
    torch.testing.assert_close(average(x), torch.stack(want, 1), rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_a_chunk_of_the_whole_length_is_attention(causal: bool) -> None:
    layer = laws.make(Mega, 50, dtype=torch.float64, causal=causal, chunk=1000)
    head: Any = layer.head
    head.bias_P.zero_()
    x, v = layer.project(laws.tokens_in(50).double())
    q, k = head.queries_and_keys(layer.average(x))  # type: ignore[operator]
    want = scaled_dot_product_attention(q, k, v, is_causal=causal)
    torch.testing.assert_close(layer.attend(x, v)[:, 0], want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_only_the_average_crosses_from_chunk_to_chunk(causal: bool) -> None:
    layer = laws.make(Mega, 48, dtype=torch.float64, causal=causal, chunk=16)
    x = laws.tokens_in(48).double()
    changed = x.clone()
    changed[:, 3] += 1
    for crosses in (True, False):
        off = (layer(x) - layer(changed)).abs().amax((0, 2))
        assert bool((off[16:] > 0).any()) == crosses
        assert (off[3:16] > 0).all()
        layer.get_parameter("average.eta_CS").zero_()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_slow_average_does_not_stand_still(dtype: torch.dtype) -> None:
    """Of a constant, with a share of 1/500 for each token."""
    layer = laws.make(Mega, 4000, dtype=dtype, causal=True, average=1, dim=4, heads=1)
    average: Any = layer.average
    for name, value in {"beta_CS": 1, "eta_CS": 1, "delta_CS": 30, "omega_D": 0}.items():
        average.get_parameter(name).fill_(value)
    average.alpha_CS.fill_(-6.2)
    y = average(torch.ones(1, 4000, 4, dtype=dtype))
    share = torch.tensor(-6.2).to(dtype).double().sigmoid()
    want = silu(1 - (1 - share) ** torch.tensor([100, 1000, 4000]))
    torch.testing.assert_close(y[0, [99, 999, 3999], 0].double(), want, rtol=1e-2, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_stays_finite_where_it_forgets_all_or_nothing(logit: float, causal: bool) -> None:
    layer = laws.make(Mega, 300, causal=causal)
    for name in ("alpha_CS", "delta_CS"):
        layer.get_parameter(f"average.{name}").fill_(logit)
    assert layer(laws.tokens_in(300)).isfinite().all()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("weights", ["softmax", "laplace"])
def test_gradients_stay_finite_with_padding_and_empty_sequences(weights: str, causal: bool) -> None:
    layer = laws.make(Mega, 40, causal=causal, chunk=16, weights=weights)
    valid_BT = torch.arange(40) < torch.tensor([[37], [0]])
    y = layer(laws.tokens_in(40), valid_BT)
    assert y.isfinite().all()
    for grad in torch.autograd.grad(y[0, :37].sum(), list(layer.parameters())):
        assert grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk": 0}, "chunk 0 is below 1"),
        ({"width": 0}, "width 0 is below 1"),
        ({"average": -1}, "average -1 is below 1"),
        ({"weights": "relu"}, "weights 'relu' is neither softmax nor laplace"),
    ],
)
def test_refuses_what_it_cannot_make(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=rf"^{message}$"):
        laws.make(Mega, 50, **options)
