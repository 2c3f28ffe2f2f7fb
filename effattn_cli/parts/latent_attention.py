"""Latent attention: one row per token, from which every head computes its keys and values.

C width of a latent, R of the part of a key that is rotated by its position, E = C + R of a row; N
width of the other part of a head's key, and V of its value.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Decodable
from effattn_cli.parts.exact import exact
from effattn_cli.parts.precision import wide


@dataclass(frozen=True)
class Rows:
    """Room for the rows of the tokens so far, of which the first `length` are filled."""

    row_BRE: Tensor
    length: int

    @classmethod
    def init(cls, layer: "Decodable[Rows]", batch: int, context: int, width: int) -> "Rows":
        """`context` random rows, with room for at least one more token."""
        room = max(layer.config.tokens, context + 1)
        return cls(layer.blank(batch, room, width, random=True), context)

    def append(self, row_BE: Tensor) -> "Rows":
        self.row_BRE[:, self.length] = row_BE
        return replace(self, length=self.length + 1)

    @property
    def filled(self) -> Tensor:
        """(B, S, E)."""
        return self.row_BRE[:, : self.length]


class UpProjection(nn.Module):
    """The up-projections from a latent to each head: W_uk for its keys, W_uv for its values."""

    def __init__(self, heads: int, latent: int, key: int, value: int) -> None:
        super().__init__()
        self.key_HCN = nn.Parameter(torch.randn(heads, latent, key) * latent**-0.5)
        self.value_HCV = nn.Parameter(torch.randn(heads, latent, value) * latent**-0.5)

    @property
    def latent(self) -> int:
        return self.key_HCN.shape[1]

    def expanded(
        self,
        q_BHTK: Tensor,
        row_BSE: Tensor,
        valid_BS: Tensor | None = None,
        *,
        causal: bool,
    ) -> Tensor:
        """Expands keys and values of all heads, (B, H, T, V): fewest products, most memory."""
        H, _, V = self.value_HCV.shape
        latent_BSC, position_BSR = row_BSE[..., : self.latent], row_BSE[..., self.latent :]
        k_BHSN, v_BHSV = (
            (latent_BSC @ x_HCN.transpose(0, 1).flatten(1)).unflatten(2, (H, -1)).transpose(1, 2)
            for x_HCN in (self.key_HCN, self.value_HCV)
        )
        position_BHSR = position_BSR.unsqueeze(1).expand(-1, H, -1, -1)
        k_BHSK = torch.cat([k_BHSN, position_BHSR], dim=-1)
        # Fused kernels need values as wide as keys; other kernels materialise all scores.
        width = max(k_BHSK.shape[-1], V)
        scale = (width / k_BHSK.shape[-1]) ** 0.5  # for the softmax over the padded width
        q_BHTK = pad(q_BHTK * scale, (0, width - q_BHTK.shape[-1]))
        k_BHSK, v_BHSK = (pad(x, (0, width - x.shape[-1])) for x in (k_BHSK, v_BHSV))
        return exact(q_BHTK, k_BHSK, v_BHSK, valid_BS, causal=causal)[..., :V]

    def absorbed(self, q_BHK: Tensor) -> Tensor:
        """The query in the space of the rows, (B, H, E): W_uk is absorbed into it."""
        width = self.key_HCN.shape[2]
        nope_BHN, position_BHR = q_BHK[..., :width], q_BHK[..., width:]
        latent_BHC = (nope_BHN.unsqueeze(2) @ self.key_HCN.mT).squeeze(2)
        return torch.cat([latent_BHC, position_BHR], dim=-1)

    def one_query(self, q_BHK: Tensor, row_BSE: Tensor) -> Tensor:
        """One query per head over all rows, (B, H, V); rows are read once for all heads."""
        scale = q_BHK.shape[-1] ** -0.5
        logits_BHS = (self.absorbed(q_BHK) * scale) @ row_BSE.mT
        weights_BHS = wide(logits_BHS).softmax(-1).to(row_BSE.dtype)
        return self.values(weights_BHS @ row_BSE[..., : self.latent])

    def values(self, mixed_BHC: Tensor) -> Tensor:
        """Each head's value from a mixture of latents, (B, H, V)."""
        return (mixed_BHC.unsqueeze(2) @ self.value_HCV).squeeze(2)
