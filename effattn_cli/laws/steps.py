"""Decoding, step by step, gives what the causal forward gives."""

from typing import Any

import torch
from torch import Tensor

from effattn_cli.attention import Attention, Decodable, FeedForward, Layer
from effattn_cli.laws.law import B, H, close, law, make, require, tokens_in


@law
@torch.no_grad()
def decoding(variant: type[Layer]) -> str | None:
    """Decoding token by token equals the causal forward; a step can be repeated.

    With every layout of heads at a few tokens, and as far as a window turns over or a memory fills
    up, as the layer says by its `horizon` and `period`.
    """
    if not issubclass(variant, Decodable | FeedForward):
        return "it does not decode token by token"
    for shape in [{}, {"kv_heads": H // 2}] if issubclass(variant, Attention) else [{}]:
        _decodes(make(variant, 70, dtype=torch.float64, causal=True, **shape), 70)
    if issubclass(variant, Decodable):
        near = make(variant, 70, causal=True)
        tokens = near.horizon + 2 * near.period + 70
        _decodes(make(variant, tokens, dtype=torch.float64, causal=True), tokens, every=9)
    return None


def _decodes(layer: Layer, tokens: int, *, every: int = 1) -> None:
    """Each step against the forward; one in so many is made twice from its state."""
    x = tokens_in(tokens, dtype=torch.float64)
    y, state = layer(x), _state(layer, 0)
    last = y.shape[1]  # Perceiver AR keeps the outputs of the last tokens only
    for t in range(tokens):
        once = _step(layer, x[:, t], state)[0] if t % every == 0 else None
        step, state = _step(layer, x[:, t], state)
        same = once is None or torch.equal(once, step)
        require(same, f"decoding step {t} twice from one state differs")
        if t >= tokens - last:
            want = y[:, t - tokens + last]
            close(step, want, f"decoding step {t} differs from the causal forward")
    step, _ = _step(layer, x[:, 0], _state(layer, tokens // 2))
    require(bool(step.isfinite().all()), "a step after a random context is not finite")


def _state(layer: Layer, context: int) -> Any:
    """None for a feed-forward, which keeps nothing between tokens."""
    return layer.init_state(B, context) if isinstance(layer, Decodable) else None


def _step(layer: Any, x_BD: Tensor, state: Any) -> tuple[Tensor, Any]:
    return (layer.decode(x_BD), None) if state is None else layer.decode(x_BD, state)


LONG = 65_536
#: How far steps may be from the causal forward after so many, in parts of the output's norm.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 2e-2}


@law
@torch.no_grad()
def long_decoding(variant: type[Layer]) -> str | None:
    """Sums over all tokens stay finite over 64k steps, and give what the forward gives.

    In float32 to 1e-3 and in bfloat16 to 2e-2 of the output's norm, over every 64th step.
    """
    if not issubclass(variant, Decodable) or variant.card.state not in {"1", "k"}:
        return "it keeps no sums over all tokens"
    for dtype, tolerance in TOLERANCE.items():
        layer: Any = make(variant, LONG, dtype=dtype, causal=True)
        x = tokens_in(LONG, dtype=dtype)[:1]
        want, state, steps = layer(x).float(), layer.init_state(1, 0), []
        for t in range(LONG):
            step, state = layer.decode(x[:, t], state)
            if t % 64 == 63:
                steps.append(step.float())
        got, want = torch.stack(steps, dim=1), want[:, 63::64]
        require(bool(got.isfinite().all()), f"a step is not finite in {dtype}")
        error = ((got - want).norm() / want.norm()).item()
        message = f"64k steps in {dtype} are {error:.2g} of the norm off the causal forward"
        require(error <= tolerance, message)
    return None
