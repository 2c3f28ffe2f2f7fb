from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu

OPTIONS: dict[str, Any] = {"compressed": 8, "stride": 4, "block": 16, "top": 4, "window": 20}


def reference(layer: Any, q_BHTK: Tensor, *inputs: Any) -> Tensor:
    """Query by query and group by group, each branch by itself."""
    (B, H, T, K), G = q_BHTK.shape, layer.kv_heads
    *kv, gate_BHT3, _ = inputs
    outs = torch.zeros(0, T, K, dtype=q_BHTK.dtype)
    for b in range(B):
        for g in range(G):
            q_RTK, gate_RT3 = (x[b].unflatten(0, (G, -1))[g] for x in (q_BHTK, gate_BHT3))
            rows = _group(layer, g, q_RTK, gate_RT3, [x[b, g] for x in kv])
            outs = torch.cat([outs, rows])
    return outs.view(B, H, T, K)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    """The gates are a sigmoid of a linear map of x."""
    B, T, _ = x_BTD.shape
    made = {
        name: (x_BTD @ linear.weight.T).view(B, T, -1, 3 if name == "gate" else layer.head_dim)
        for name, linear in layer.projections.items()
        if name != "out"
    }
    inputs = [made[name].transpose(1, 2) for name in layer.inputs]
    inputs[-1] = torch.sigmoid(inputs[-1])
    y_BHTK = reference(layer, *inputs, None)
    return y_BHTK.transpose(1, 2).reshape(B, T, -1) @ layer.projections["out"].weight.T


def _group(layer: Any, g: int, q_RTK: Tensor, gate_RT3: Tensor, kv: list[Tensor]) -> Tensor:
    (R, T, K), options = q_RTK.shape, layer.config
    k_cmp, v_cmp, k_sel, v_sel, k_win, v_win = kv
    small_k, small_v = _pressed(layer.press_k, g, k_cmp), _pressed(layer.press_v, g, v_cmp)
    rows = []
    for t in range(T):
        ended = [i for i in range(len(small_k)) if i * options.stride + options.compressed <= t + 1]
        q_RK, out_RK, weight_RZ = q_RTK[:, t], torch.zeros(R, K, dtype=k_sel.dtype), None
        if ended:
            weight_RZ = torch.softmax(q_RK @ small_k[ended].T / K**0.5, dim=1)
            out_RK = weight_RZ @ small_v[ended]
        blocks = _chosen(options, t, weight_RZ)
        seen = [j for j in range(t + 1) if j // options.block in blocks]
        near = list(range(max(0, t + 1 - options.window), t + 1))
        sel_RK = _softmax(q_RK, k_sel[seen], v_sel[seen])
        win_RK = _softmax(q_RK, k_win[near], v_win[near])
        rows.append((gate_RT3[:, t, :, None] * torch.stack([out_RK, sel_RK, win_RK], 1)).sum(1))
    return torch.stack(rows, dim=1)


def _softmax(q_RK: Tensor, k_SK: Tensor, v_SK: Tensor) -> Tensor:
    return torch.softmax(q_RK @ k_SK.T / q_RK.shape[1] ** 0.5, dim=1) @ v_SK


def _chosen(options: Any, t: int, weight_RZ: Tensor | None) -> set[int]:
    """The first block, the query's own, the one before, and the best of the rest.

    A compressed block counts by the tokens that it has in common with the block.
    """
    own = t // options.block
    forced, scores = {0, max(0, own - 1), own}, {}
    for y in range(own + 1):
        scores[y] = 0.0
        for i in range(0 if weight_RZ is None else weight_RZ.shape[1]):
            begin = max(i * options.stride, y * options.block)
            end = min(i * options.stride + options.compressed, (y + 1) * options.block)
            if weight_RZ is not None and end > begin:
                scores[y] += float(weight_RZ[:, i].detach().sum()) * (end - begin)
    rest = sorted(set(scores) - forced, key=lambda y: -scores[y])
    return forced | set(rest[: max(0, options.top - 3)])


def _pressed(press: Any, g: int, x_TK: Tensor) -> Tensor:
    """Every block by itself, from the tokens end to end."""
    size, stride = press.cut.size, press.cut.stride
    weight_JE, made = press.inner_GSKE[g].flatten(0, 1), []
    for begin in range(0, len(x_TK) - size + 1, stride):
        x_J = (x_TK[begin : begin + size] + press.position_GSK[g]).flatten()
        hidden_E = gelu(x_J @ weight_JE + press.inner_GxE[g, 0])
        made.append(hidden_E @ press.outer_GEK[g] + press.outer_GxK[g, 0])
    return torch.stack(made) if made else x_TK[:0]
