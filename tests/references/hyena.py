import math
from typing import Any

import torch
from torch import Tensor


def taps(layer: Any, tokens: int) -> Tensor:
    """The filter, tap by tap: (T, C)."""
    net, options = layer.filter, layer.config
    L, C, J = options.tokens, layer.channels, options.filter_features // 2
    slow, fast = math.log(100) / 1.5, math.log(100) / 0.3
    rows = []
    for t in range(tokens):
        share = t / (L - 1) if L > 1 else 0.0
        angles = [2 * math.pi * j * t / L for j in range(J)]
        waves = [*map(math.cos, angles), *map(math.sin, angles)]
        x = torch.tensor([share, *waves], dtype=torch.float64)
        for linear in net.hidden:
            x = torch.sin(net.frequency_W * (linear.weight @ x + linear.bias))
        rates = [slow + (fast - slow) * c / max(1, C - 1) for c in range(C)]
        window_C = torch.tensor([math.exp(-rate * share) for rate in rates], dtype=torch.float64)
        rows.append((net.last.weight @ x) * window_C)
    return torch.stack(rows)


def reference(
    layer: Any, gate_BTC: Tensor, inner_BTC: Tensor, value_BTC: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """The sum over the past, output by output."""
    B, T, C = value_BTC.shape
    h_TC, u_BTC = taps(layer, T), inner_BTC * value_BTC
    outs = []
    for t in range(T):
        past_BC = sum((h_TC[t - s] * u_BTC[:, s] for s in range(t + 1)), torch.zeros(B, C).double())
        outs.append(gate_BTC[:, t] * (past_BC + layer.filter.direct_C * u_BTC[:, t]))
    return torch.stack(outs, dim=1).view(B, T, layer.heads, -1).transpose(1, 2)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    """Projections, each convolved with three taps of its own; then the core, and the output."""
    B, T, _ = x_BTD.shape
    parts = []
    for p, name in enumerate(("gate", "inner", "value")):
        y_BTC = x_BTD @ layer.projections[name].weight.T
        tap_CS, bias_C = layer.taps_PCS[p], layer.bias_PC[p]
        rows = []
        for t in range(T):
            row_BC = bias_C + tap_CS[:, 2] * y_BTC[:, t]
            for back in (1, 2):
                if t >= back:
                    row_BC = row_BC + tap_CS[:, 2 - back] * y_BTC[:, t - back]
            rows.append(row_BC)
        parts.append(torch.stack(rows, dim=1))
    y_BHTK = reference(layer, parts[0], parts[1], parts[2], None)
    return y_BHTK.transpose(1, 2).reshape(B, T, -1) @ layer.projections["out"].weight.T
