"""Tokens of a cluster side by side: who belongs to it, and what decoding keeps of that.

C clusters, W tokens of a cluster, G sequences that are clustered each on its own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def nearest(x_GTK: Tensor, centre_GCK: Tensor, members: int, real_GT: Tensor | None) -> Tensor:
    """The places (G, C, W) of the tokens with the largest products with each centre, ascending.

    Padding comes last, so it is there only where there are fewer tokens than members.
    """
    with torch.no_grad():
        score_GCT = centre_GCK @ x_GTK.mT
        if real_GT is not None:
            score_GCT.masked_fill_(~real_GT.unsqueeze(1), -torch.inf)
        return score_GCT.topk(members, sorted=False).indices.sort(-1).values


@dataclass(frozen=True)
class Members:
    """What decoding keeps: keys and values of all tokens, and who is in which cluster so far."""

    k_BHSK: Tensor  # by position, the first `length` of S filled
    v_BHSK: Tensor
    score_BHCW: Tensor  # of each member with the centre; -inf where there is none yet
    place_BHCW: Tensor
    length: int

    @classmethod
    def start(
        cls, k_BHSK: Tensor, v_BHSK: Tensor, shape: tuple[int, int], length: int
    ) -> "Members":
        """`length` tokens, the members of each cluster being any of them."""
        (B, H, _, _), (C, W) = k_BHSK.shape, shape
        wide = torch.promote_types(k_BHSK.dtype, torch.float32)
        score_BHCW = torch.randn(B, H, C, W, device=k_BHSK.device, dtype=wide)
        first_C1 = torch.randint(max(1, length), (C, 1), device=k_BHSK.device)
        at_W = torch.arange(W, device=k_BHSK.device)
        place_CW = (first_C1 + at_W) % max(1, length)
        score_BHCW.masked_fill_(at_W >= length, -torch.inf)
        return cls(k_BHSK, v_BHSK, score_BHCW, place_CW.expand(B, H, C, W), length)

    def add(self, k_BHK: Tensor, v_BHK: Tensor, score_BHC: Tensor) -> tuple[Tensor, "Members"]:
        """With one token more, in place of the lowest of each cluster that it enters (B, H, C)."""
        self.k_BHSK[:, :, self.length] = k_BHK
        self.v_BHSK[:, :, self.length] = v_BHK
        low_BHC, slot_BHC = self.score_BHCW.min(-1)
        enters_BHC = score_BHC > low_BHC
        at_W = torch.arange(self.score_BHCW.shape[-1], device=slot_BHC.device)
        new_BHCW = (at_W == slot_BHC.unsqueeze(-1)) & enters_BHC.unsqueeze(-1)
        score_BHCW = torch.where(new_BHCW, score_BHC.unsqueeze(-1), self.score_BHCW)
        place_BHCW = self.place_BHCW.masked_fill(new_BHCW, self.length)
        state = Members(self.k_BHSK, self.v_BHSK, score_BHCW, place_BHCW, self.length + 1)
        return enters_BHC, state
