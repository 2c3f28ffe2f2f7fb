import math

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import chunked
from tests.equality import equals_its_reference
from tests.references.random_feature_attention import reference

Rfa = catalog.load("random-feature-attention")


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("tokens", [1, 16, 50])
def test_gate_equals_its_reference_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, tokens: int, pieces: bool
) -> None:
    monkeypatch.setattr(chunked, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(chunked, "CACHED", 1)
    monkeypatch.setattr(chunked, "CHUNK", 16)
    layer = laws.make(Rfa, tokens, dtype=torch.float64, gate=True, causal=True)
    own = [p for name, p in layer.named_parameters() if "projections" not in name]
    equals_its_reference(layer, reference, parameters=own)


@torch.no_grad()
def test_gated_decoding_equals_the_forward() -> None:
    layer = laws.make(Rfa, 40, dtype=torch.float64, gate=True, causal=True)
    assert isinstance(layer, Decodable)
    x, state, steps = laws.tokens_in(40).double(), layer.init_state(laws.B, 0), []
    for t in range(40):
        step, state = layer.decode(x[:, t], state)
        steps.append(step)
    torch.testing.assert_close(torch.stack(steps, 1), layer(x), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_gate_forgets() -> None:
    layer = laws.make(Rfa, 200, gate=True, causal=True)
    assert isinstance(layer.gate, torch.nn.Linear)
    layer.gate.weight.zero_()
    q, k, v = layer.project(laws.tokens_in(200))
    for logit in (-200.0, 200.0):  # only the token itself; and as good as no weight at all
        layer.gate.bias.fill_(logit)
        assert layer.attend(q, k, v).isfinite().all()
    layer.gate.bias.fill_(-200.0)
    torch.testing.assert_close(layer.attend(q, q, v), v)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_error_falls_with_the_root_of_the_directions(causal: bool) -> None:
    errors = []
    for directions in (64, 1024, 16384):
        layer = laws.make(Rfa, 60, dtype=torch.float64, directions=directions, causal=causal)
        q, k, v = layer.project(laws.tokens_in(60).double())
        unit_q, unit_k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
        scores = unit_q @ unit_k.mT
        if causal:
            scores = scores.masked_fill(torch.ones(60, 60).triu(1).bool(), -math.inf)
        want = scores.softmax(-1) @ v
        errors.append((layer.attend(q, k, v) - want).norm() / want.norm())
    assert errors[0] > 2.5 * errors[1] > 2.5**2 * errors[2]  # ideally 4 and 4^2
    assert errors[2] < 0.02


@torch.no_grad()
def test_denominator_stays_away_from_zero() -> None:
    layer = laws.make(Rfa, 8, dtype=torch.float64, directions=1, causal=True)
    layer.get_parameter("sigma_H1K").fill_(30.0)  # the estimates are cosines of anything
    q, k, v = layer.project(laws.tokens_in(8).double())
    out = layer.attend(q, k, v)
    torch.testing.assert_close(out, reference(layer, q, k, v, None))
    assert (out.norm(dim=-1) <= math.exp(2) * v.norm(dim=-1).cumsum(-1) + 1e-9).all()


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(Unsupported, match=r"^directions 0 is below 1$"):
        laws.make(Rfa, 50, directions=0)
    message = r"^the gate runs forward in time: it needs causal attention$"
    with pytest.raises(Unsupported, match=message):
        laws.make(Rfa, 50, gate=True)
