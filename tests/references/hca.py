from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads
from tests.references.mla import of_unit_size

OPTIONS = {"window": 8, "ratio": 4}


def reference(
    layer: Any,
    q_BHTK: Tensor,
    kv_BTK: Tensor,
    entry_BTK: Tensor,
    gate_BTK: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Token by token: the rows that it sees, their exponentials, their mean."""
    ratio = layer.config.ratio
    entries = []
    for start in range(0, kv_BTK.shape[1] // ratio * ratio, ratio):
        slots = range(start, start + ratio)
        made_BK = pooled(
            layer.compressor,
            [entry_BTK[:, t] for t in slots],
            [gate_BTK[:, t] + layer.compressor.bias_RE[t - start] for t in slots],
        )
        entries.append(turned(layer, made_BK, start))
    out = []
    for t in range(kv_BTK.shape[1]):
        near = [kv_BTK[:, s] for s in range(max(0, t - layer.config.window + 1), t + 1)]
        out.append(seen_by(layer, q_BHTK[:, :, t], near + entries[: (t + 1) // ratio], t))
    return torch.stack(out, dim=2)


def pooled(compressor: Any, slots: Sequence[Tensor], gates: Sequence[Tensor]) -> Tensor:
    """RMSNorm of the mean of the slots (B, K), weighted in each channel by e^gate."""
    weights = [torch.exp(gate) for gate in gates]
    weight_SBK = torch.stack(weights) / torch.stack(weights).sum(0)
    return of_unit_size((weight_SBK * torch.stack(list(slots))).sum(0), compressor.norm.weight)


def seen_by(layer: Any, q_BHK: Tensor, rows: Sequence[Tensor], position: int) -> Tensor:
    """One softmax over rows and sink, of a query there; what it gives is rotated back."""
    row_BSK = torch.stack(list(rows), dim=1)
    logits_BHS = torch.einsum("bhk,bsk->bhs", q_BHK, row_BSK) / q_BHK.shape[-1] ** 0.5
    total_BH1 = torch.exp(logits_BHS).sum(-1, keepdim=True) + torch.exp(layer.sink_H)[:, None]
    y_BHK = torch.einsum("bhs,bsk->bhk", torch.exp(logits_BHS) / total_BH1, row_BSK)
    return turned(layer, y_BHK, position, back=True)


def turned(layer: Any, x: Tensor, position: int, *, back: bool = False) -> Tensor:
    """The last numbers as complex ones, times e^(i angle)."""
    cos, sin = layer.cos_TR[position], layer.sin_TR[position]
    half = len(cos)
    if not half:
        return x
    a, b = x[..., x.shape[-1] - 2 * half :].split(half, dim=-1)
    z = torch.complex(a, b) * torch.complex(cos, -sin if back else sin)
    return torch.cat([x[..., : x.shape[-1] - 2 * half], z.real, z.imag], dim=-1)


def at_their_places(layer: Any, x_BHTK: Tensor) -> Tensor:
    return torch.stack([turned(layer, x_BHTK[:, :, t], t) for t in range(x_BHTK.shape[2])], dim=2)


def inputs_of(layer: Any, x_BTD: Tensor) -> Mapping[str, Tensor]:
    """What the layer's projections make of x, by name; of the queries, what they are made of."""
    made = {name: layer.projections[name] for name in layer.inputs}
    of_queries_BTD = x_BTD
    if layer.config.query_rank:
        down, norm = layer.projections["latent"]
        of_queries_BTD = of_unit_size(x_BTD @ down.weight.T, norm.weight)
    x = {
        name: (of_queries_BTD if name in {"q", "index_q"} else x_BTD) @ module.weight.T
        for name, module in made.items()
    }
    q_BHTK = heads(x["q"], layer.heads)
    x["q"] = at_their_places(layer, of_unit_size(q_BHTK, torch.ones(())))
    row_B1TK = of_unit_size(x["kv"], layer.norm.weight).unsqueeze(1)
    x["kv"] = at_their_places(layer, row_B1TK).squeeze(1)
    return x


def output_of(layer: Any, y_BHTK: Tensor) -> Tensor:
    groups, out = layer.config.out_groups, layer.projections["out"]
    if not groups:
        return torch.cat(y_BHTK.unbind(1), dim=-1) @ out.weight.T
    narrow = [
        torch.cat(of_group.unbind(1), dim=-1) @ weight_ER
        for of_group, weight_ER in zip(y_BHTK.chunk(groups, dim=1), out.weight_GER, strict=True)
    ]
    return torch.cat(narrow, dim=-1) @ out.mix.weight.T


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    x = inputs_of(layer, x_BTD)
    y_BHTK = reference(layer, x["q"], x["kv"], x["entry"], x["gate"], None)
    return output_of(layer, y_BHTK)
