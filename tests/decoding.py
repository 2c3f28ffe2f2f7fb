"""Decoding, token by token, against the causal forward."""

from typing import Any

import torch

from effattn_cli import laws
from effattn_cli.attention import Decodable


@torch.no_grad()
def equals_the_forward(layer: Any, tokens: int) -> Any:
    """Holds each step from an empty state to 1e-9, and to itself when repeated.

    Gives the state after the last.
    """
    assert isinstance(layer, Decodable)
    x_BTD = laws.tokens_in(tokens).double()
    y_BTD, state = layer(x_BTD), layer.init_state(laws.B, 0)
    for t in range(tokens):
        once_BD, _ = layer.decode(x_BTD[:, t], state)
        step_BD, state = layer.decode(x_BTD[:, t], state)
        assert torch.equal(once_BD, step_BD)
        torch.testing.assert_close(step_BD, y_BTD[:, t], rtol=1e-9, atol=1e-9)
    return state
