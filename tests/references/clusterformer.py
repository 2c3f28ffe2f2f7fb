import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Dense attention; a query sees the keys of its chunk."""
    B, _, T, _ = q_BHTK.shape
    valid_BT = torch.ones(B, T, dtype=torch.bool) if valid_BT is None else valid_BT
    chunk_BT = torch.stack([chunks(layer, k_BHTK[b], valid_BT[b]) for b in range(B)])
    seen_BTT = (chunk_BT[:, :, None] == chunk_BT[:, None, :]) & valid_BT[:, None, :]
    seen_BTT |= torch.eye(T, dtype=torch.bool) & ~valid_BT[:, None, :]  # padding: of no account
    return softmax_attention(q_BHTK, k_BHTK, v_BHTK, seen_BTT[:, None])


def chunks(layer: Attention, k_HTK: Tensor, valid_T: Tensor) -> Tensor:
    """The chunk of each token: its rank, by centre and position, over the length of a chunk."""
    k_TE = torch.cat(list(k_HTK.detach()), dim=1)
    centre_T = (k_TE @ layer.get_buffer("centre_EC")).argmax(1)
    tokens = sorted(range(len(k_TE)), key=lambda t: (not valid_T[t], int(centre_T[t]), t))
    chunk_T = torch.zeros(len(tokens))
    for rank, t in enumerate(tokens):
        chunk_T[t] = rank // layer.chunk  # type: ignore[operator]
    return chunk_T
