from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads
from tests.references.hca import at_their_places, inputs_of, output_of, pooled, seen_by, turned

OPTIONS = {"window": 8, "ratio": 4, "top": 5, "index_heads": 3, "index_width": 12}


def reference(
    layer: Any,
    q_BHTK: Tensor,
    kv_BTK: Tensor,
    entry_BTE: Tensor,
    gate_BTE: Tensor,
    index_q_BITX: Tensor,
    index_weight_BIT: Tensor,
    index_BTE: Tensor,
    index_gate_BTE: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Sequence by sequence and token by token: ratings, the best of them, one softmax."""
    B, _, T, _ = q_BHTK.shape
    ratio, top = layer.config.ratio, layer.config.top
    entries = overlapping(layer, layer.compressor, entry_BTE, gate_BTE)
    keys = overlapping(layer, layer.indexer, index_BTE, index_gate_BTE)
    out = []
    for b in range(B):
        of_sequence = []
        for t in range(T):
            near = [kv_BTK[b, s] for s in range(max(0, t - layer.config.window + 1), t + 1)]
            ratings = [
                (index_weight_BIT[b, :, t] @ torch.relu(index_q_BITX[b, :, t] @ key_BX[b])).item()
                for key_BX in keys[: (t + 1) // ratio]
            ]
            best = sorted(range(len(ratings)), key=lambda w: (-ratings[w], w))[:top]
            rows = near + [entries[w][b] for w in best]
            rows_1SK = [row_K[None] for row_K in rows]
            of_sequence.append(seen_by(layer, q_BHTK[b : b + 1, :, t], rows_1SK, t)[0])
        out.append(torch.stack(of_sequence, dim=1))
    return torch.stack(out)


def overlapping(layer: Any, compressor: Any, x_BTE: Tensor, gate_BTE: Tensor) -> Sequence[Tensor]:
    """Entry by entry: series a of the window before, b of its own."""
    ratio, K = layer.config.ratio, x_BTE.shape[-1] // 2
    made = []
    for start in range(0, x_BTE.shape[1] // ratio * ratio, ratio):
        slots, gates = [], []
        for t in range(max(0, start - ratio), start + ratio):
            series = slice(0, K) if t < start else slice(K, 2 * K)
            slots.append(x_BTE[:, t, series])
            gates.append(gate_BTE[:, t, series] + compressor.bias_RE[t % ratio, series])
        made.append(turned(layer, pooled(compressor, slots, gates), start))
    return made


def of_x(layer: Any, x_BTD: Tensor) -> Tensor:
    """The whole layer. No gradient reaches the indexer, so that it is tried apart."""
    x = inputs_of(layer, x_BTD)
    index_q = at_their_places(layer, heads(x["index_q"], layer.index_heads))
    y_BHTK = reference(
        layer, x["q"], x["kv"], x["entry"], x["gate"], index_q, x["index_weight"].mT,
        x["index_entry"], x["index_gate"], None,
    )  # fmt: skip
    return output_of(layer, y_BHTK)
