import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.perceiver import reference

Perceiver = catalog.load("perceiver")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("latents", "layers"), [(1, 0), (7, 1), (40, 3)])
def test_options_equal_the_reference(latents: int, layers: int, causal: bool, padded: bool) -> None:
    layer = laws.make(
        Perceiver, 40, dtype=torch.float64, causal=causal, latents=latents, layers=layers
    )
    equals_its_reference(layer, reference, padded=padded)


@torch.no_grad()
def test_causal_output_is_of_the_last_tokens_and_never_of_later_ones() -> None:
    layer = laws.make(Perceiver, 50, dtype=torch.float64, causal=True, latents=8, layers=2)
    x = laws.tokens_in(50).double()
    y = layer(x)
    assert y.shape == (2, 8, laws.D)
    for t in (0, 41, 42, 45, 49):
        changed = x.clone()
        changed[:, t] += 1
        differs_M = (layer(changed) != y).any(-1).any(0)
        assert differs_M.tolist() == [42 + i >= t for i in range(8)]


@torch.no_grad()
@pytest.mark.parametrize("layers", [0, 1])
def test_decoding_past_the_latents_equals_the_last_output(layers: int) -> None:
    layer = laws.make(Perceiver, 30, dtype=torch.float64, causal=True, latents=6, layers=layers)
    assert isinstance(layer, Decodable)
    x, state = laws.tokens_in(30).double(), layer.init_state(2, 0)
    for t in range(30):
        step, state = layer.decode(x[:, t], state)
        torch.testing.assert_close(step, layer(x[:, : t + 1])[:, -1], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_decoding_with_more_layers_keeps_latents_as_they_were_made() -> None:
    layer = laws.make(Perceiver, 30, dtype=torch.float64, causal=True, latents=6, layers=3)
    assert isinstance(layer, Decodable)
    x, state = laws.tokens_in(30).double(), layer.init_state(2, 0)
    steps = []
    for t in range(30):
        step, state = layer.decode(x[:, t], state)
        steps.append((step - layer(x[:, : t + 1])[:, -1]).abs().max() < 1e-9)
    assert all(steps[:6])
    assert not any(steps[6:])


def test_refuses_to_have_no_latents() -> None:
    with pytest.raises(Unsupported, match=r"^latents 0 is below 1$"):
        laws.make(Perceiver, 50, latents=0)
    with pytest.raises(Unsupported, match=r"^layers -1 is below 0$"):
        laws.make(Perceiver, 50, layers=-1)
