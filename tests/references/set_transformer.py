import torch
from torch import Tensor

from effattn_cli.attention import Attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """The attentions of MAB(X, MAB(I, X)), a sequence and a head at a time."""
    B, H, T, K = q_BHTK.shape
    root = (H * K) ** 0.5
    points_HMK = layer.get_parameter("points_HMK")
    to_k_DD, to_v_DD = (layer.get_parameter(f"summary_{x}.weight") for x in "kv")

    def attention(q_TK: Tensor, k_SK: Tensor, v_SK: Tensor) -> Tensor:
        weights_TS = torch.exp(q_TK @ k_SK.T / root)
        return weights_TS @ v_SK / weights_TS.sum(-1, keepdim=True)

    outs = []
    for b in range(B):
        keep_T = torch.ones(T, dtype=torch.bool) if valid_BT is None else valid_BT[b]
        heads = [
            attention(points_HMK[h], k_BHTK[b, h, keep_T], v_BHTK[b, h, keep_T]) for h in range(H)
        ]
        summary_MD = torch.cat(heads, dim=1)
        k_MD = summary_MD @ to_k_DD.T
        v_MD = summary_MD @ to_v_DD.T
        parts = [slice(h * K, (h + 1) * K) for h in range(H)]
        outs.append(
            torch.stack(
                [attention(q_BHTK[b, h], k_MD[:, p], v_MD[:, p]) for h, p in enumerate(parts)]
            )
        )
    return torch.stack(outs)
