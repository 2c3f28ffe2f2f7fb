from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import long_conv
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.hyena import reference

Hyena = catalog.load("hyena")


@pytest.mark.parametrize(
    "options",
    [
        {"filter_width": 5}, {"filter_layers": 1}, {"filter_features": 3}, {"frequency": 1.0},
        {"heads": 1}, {"heads": 2, "head_dim": 5},
    ],
)  # fmt: skip
def test_options_equal_the_reference(options: dict[str, Any]) -> None:
    layer = laws.make(Hyena, 45, dtype=torch.float64, causal=True, **options)
    core = [p for name, p in layer.named_parameters() if name.startswith("filter")]
    equals_its_reference(layer, reference, parameters=core)
    equals_its_reference(layer, reference, tokens=13, padded=True, parameters=core)


@pytest.mark.parametrize("cached", [1, 2**12])
@pytest.mark.parametrize("pieces", [False, True])
def test_equals_its_reference_by_pieces_of_the_channels(
    monkeypatch: pytest.MonkeyPatch, pieces: bool, cached: int
) -> None:
    monkeypatch.setattr(long_conv, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(long_conv, "CACHED", cached)
    layer = laws.make(Hyena, 30, dtype=torch.float64, causal=True)
    core = [p for name, p in layer.named_parameters() if name.startswith("filter")]
    equals_its_reference(layer, reference, parameters=core)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_is_causal_as_far_as_rounding_goes(dtype: torch.dtype, rounding: float) -> None:
    layer = laws.make(Hyena, 300, dtype=dtype, causal=True)
    x = laws.tokens_in(300, dtype=dtype)
    y = layer(x)
    for t in (1, 63, 150, 299):
        changed = x.clone()
        changed[:, t] += 1
        z = layer(changed)
        assert (z[:, :t] - y[:, :t]).abs().max() < rounding * y.abs().max()
        assert (z[:, t] - y[:, t]).abs().max() > 0.01 * y.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("tokens", [1, 2, 90])
def test_decoding_keeps_every_input_of_the_convolution(tokens: int) -> None:
    layer = laws.make(Hyena, 90, dtype=torch.float64, causal=True)
    state = equals_the_forward(layer, tokens)
    assert state.length == tokens
    assert state.u_CBR.shape == (64, laws.B, 90)
    assert state.recent_PBSC.shape == (3, laws.B, 2, 64)
    assert isinstance(layer, Decodable)
    assert layer.init_state(1, 200).u_CBR.shape == (64, 1, 201)


@torch.no_grad()
def test_decodes_in_half_precision_as_it_goes_forward() -> None:
    layer = laws.make(Hyena, 200, dtype=torch.bfloat16, causal=True)
    assert isinstance(layer, Decodable)
    x = laws.tokens_in(200, dtype=torch.bfloat16)
    y, state = layer(x), layer.init_state(laws.B, 0)
    for t in range(200):
        step, state = layer.decode(x[:, t], state)
    assert (step - y[:, -1]).norm() < 4e-2 * y[:, -1].norm()


@torch.no_grad()
def test_without_a_filter_it_only_gates() -> None:
    layer = laws.make(Hyena, 40, dtype=torch.float64, causal=True)
    layer.get_parameter("filter.last.weight").zero_()
    layer.get_parameter("filter.direct_C").fill_(2)
    g, a, v = layer.project(laws.tokens_in(40).double())
    want = (2 * g * a * v).view(2, 40, 4, 16).transpose(1, 2)
    torch.testing.assert_close(layer.attend(g, a, v), want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_the_window_closes_to_a_hundredth_within_a_share_of_the_length() -> None:
    """Of 0.3 in the last channel, and of more than the whole in the first."""
    layer = laws.make(Hyena, 101, dtype=torch.float64, causal=True, filter_layers=1)
    for name in ("filter.hidden.0.weight", "filter.direct_C"):
        layer.get_parameter(name).zero_()  # then all taps are alike but for the window
    h_CT = layer.get_submodule("filter")(101)
    share_CT = h_CT / h_CT[:, :1]
    assert share_CT[-1, 30] == pytest.approx(0.01)
    assert share_CT[0, 100] == pytest.approx(0.01 ** (1 / 1.5))
    assert (share_CT.diff(dim=1) < 0).all()


def test_lengths_of_transforms_are_even_and_have_small_factors() -> None:
    for tokens in range(1, 2000):
        size = long_conv.transform_length(tokens)
        assert size % 2 == 0
        assert 2 * tokens <= size <= max(2, 2.4 * tokens)
        for factor in (2, 3, 5):
            while size % factor == 0:
                size //= factor
        assert size == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter_width": 0}, "filter_width 0 is below 1"),
        ({"filter_layers": 0}, "filter_layers 0 is below 1"),
        ({"filter_features": 1}, "filter_features 1 is not an odd number from 3 on"),
        ({"filter_features": 34}, "filter_features 34 is not an odd number from 3 on"),
        ({"frequency": 0.0}, "frequency 0.0 is not above 0"),
        ({"frequency": float("nan")}, "frequency nan is not above 0"),
        ({"causal": False}, "Hyena is always causal"),
    ],
)
def test_refuses_what_it_cannot_make(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=rf"^{message}$"):
        laws.make(Hyena, 50, **{"causal": True, **options})
