from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.references.token_learner import reference

TokenLearner = catalog.load("token-learner")


@pytest.mark.parametrize(("learned", "fuse"), [(1, False), (12, False), (1, True), (8, True)])
def test_options_equal_the_reference(learned: int, fuse: bool) -> None:
    layer = laws.make(TokenLearner, 23, dtype=torch.float64, learned=learned, fuse=fuse)
    v_BHTK = torch.randn(2, 4, 23, 16, dtype=torch.float64)
    valid_BT = torch.arange(23) < torch.tensor([[23], [9]])
    for mask in (None, valid_BT):
        got = layer.attend(v_BHTK, v_BHTK, v_BHTK, mask)
        want = reference(layer, v_BHTK, v_BHTK, v_BHTK, mask)
        keep_BT = layer.output_mask(torch.ones_like(valid_BT) if mask is None else mask)
        got, want = (x.transpose(1, 2)[keep_BT] for x in (got, want))
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_keeps_as_many_tokens_as_it_learns_however_long_the_input() -> None:
    layer = laws.make(TokenLearner, 50, learned=5)
    for tokens in (1, 3, 50):
        valid_BT = torch.ones(2, tokens, dtype=torch.bool)
        assert layer(laws.tokens_in(tokens)).shape == (2, 5, laws.D)
        assert layer.output_mask(valid_BT).tolist() == [[True] * 5] * 2


@torch.no_grad()
def test_the_order_of_the_input_means_nothing() -> None:
    layer, x = laws.make(TokenLearner, 50, dtype=torch.float64), laws.tokens_in(50).double()
    torch.testing.assert_close(layer(x.flip(1)), layer(x))


def test_with_a_fuser_every_weight_gets_a_gradient() -> None:
    layer = laws.make(TokenLearner, 30, fuse=True)
    layer(laws.tokens_in(30)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.parameters())


def test_refuses_to_learn_nothing() -> None:
    for name in ("learned", "bottleneck"):
        options: dict[str, Any] = {name: 0}
        with pytest.raises(Unsupported, match=rf"^{name} 0 is below 1$"):
            laws.make(TokenLearner, 50, **options)
    with pytest.raises(Unsupported, match=r"^TokenLearner cannot be causal$"):
        laws.make(TokenLearner, 50, causal=True)
