"""The state space of Mamba-3 (arXiv:2603.15569): decaying sums with trapezoidal integration.

A token is written twice, a share of it when it comes and the rest when the next one comes:
S_t = a_t (S_(t-1) + b_t k_(t-1) v_(t-1)^T) + g_t k_t v_t^T and y_t = q_t S_t. To all later tokens
the two are one, of weight g_t + b_(t+1). There are R queries, keys and values per token, and each
query of a token sees all of its keys. Queries and keys are rotated by data-dependent angles.

G groups of H heads, C tokens of a chunk, Z chunks, X = C R; N width of a key, E = R N; P width of a
value, S rotated pairs of the N dimensions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.parts.chunked import CHUNK, LOG2E, running
from effattn_cli.parts.decay import in_pieces, workable
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Memory, normed
from effattn_cli.parts.rotary import turned


@dataclass(frozen=True, kw_only=True)
class LastToken(Memory):
    """Besides the states, what the next token needs to write the rest, and the rotation so far."""

    key_BHxRN: Tensor
    value_BHP: Tensor
    turns_BHS: Tensor


@dataclass(frozen=True)
class Times:
    """Per token: its step, the share of it that its own write uses, the log of the decay, and the
    angles (B, 1, T, S) of its rotation, at most half a turn times its step.
    """

    step_BHT: Tensor
    share_BHT: Tensor
    decay_BHT: Tensor
    angle_BxTS: Tensor

    @property
    def own(self) -> Tensor:
        return self.share_BHT * self.step_BHT

    @property
    def rest(self) -> Tensor:
        return self.step_BHT - self.own

    @property
    def turns(self) -> Tensor:
        """(B, H, T, S), in full turns."""
        return torch.tanh(self.angle_BxTS) * (self.step_BHT / 2).unsqueeze(-1)


class TrapezoidSpace(nn.Module):
    """Normalises, biases and rotates B and C (as keys and queries), and computes the sum."""

    def __init__(self, heads: int, rank: int, width: int) -> None:
        super().__init__()
        self.norm_2N = nn.Parameter(torch.ones(2, width))
        self.bias_2HxRN = nn.Parameter(torch.ones(2, heads, 1, rank, width))

    def forward(self, v_BHTRP: Tensor, B_BGTE: Tensor, C_BGTE: Tensor, times: Times) -> Tensor:
        """All y_t, (B, H, T, R, P), from an empty state."""
        (T, R), dtype, outs = v_BHTRP.shape[2:4], v_BHTRP.dtype, list[Tensor]()
        later_BHT = times.own + pad(times.rest[:, :, 1:], (0, 1))
        *vectors, v_BHTE = workable(*self._normed(B_BGTE, C_BGTE), v_BHTRP.flatten(3))
        state = turns_BHS = None
        for k, q, v, later, *of_times in in_pieces(
            *vectors, v_BHTE, later_BHT,
            times.step_BHT, times.share_BHT, times.decay_BHT, times.angle_BxTS,
        ):  # fmt: skip
            piece = Times(*of_times)
            turns_BHTS = _turns_so_far(piece.turns, turns_BHS)
            turns_BHS, (k_BHTRN, q_BHTRN) = turns_BHTS[:, :, -1], self._turned((k, q), turns_BHTS)
            out_BHTRP, state = _trapezoids(
                q_BHTRN, k_BHTRN, v.unflatten(3, (R, -1)), piece.own, later, piece.decay_BHT, state
            )
            outs.append(out_BHTRP)
        return torch.cat(outs, dim=2)[:, :, :T].to(dtype)

    def step(
        self,
        values: tuple[Tensor, Tensor],
        B_BGxE: Tensor,
        C_BGxE: Tensor,
        times: Times,
        last: LastToken,
    ) -> tuple[Tensor, LastToken]:
        """One token, T = 1; `values` are the previous token's and its own, (B, H, 1, R, P)."""
        turns_BHS = (last.turns_BHS + times.turns.squeeze(2)).remainder(1)
        vectors = self._normed(B_BGxE, C_BGxE)
        k_BHxRN, q_BHxRN = self._turned(vectors, turns_BHS.unsqueeze(2))
        rest_BHxNP, own_BHxNP = (
            weight[..., None, None] * (wide(k).mT @ wide(v))
            for k, v, weight in zip(
                (last.key_BHxRN, k_BHxRN), values, (times.rest, times.own), strict=True
            )
        )
        left_BHx11 = times.decay_BHT.exp()[..., None, None]
        before_BHxNP = last.matrix_BHKV.unsqueeze(2) + rest_BHxNP
        state_BHxNP = torch.addcmul(own_BHxNP, left_BHx11, before_BHxNP)
        y_BHxRP = (wide(q_BHxRN) @ state_BHxNP).to(values[1].dtype)
        return y_BHxRP, LastToken(
            state_BHxNP.squeeze(2),
            key_BHxRN=k_BHxRN,
            value_BHP=last.value_BHP,
            turns_BHS=turns_BHS,
        )

    def _normed(self, *vectors: Tensor) -> list[Tensor]:
        """(B, H, T, E) of (B, G, T, E), each of the R divided by its root mean square."""
        _, H, _, R, _ = self.bias_2HxRN.shape
        made = []
        for x_BGTE, weight_N in zip(vectors, self.norm_2N, strict=True):
            x_BGTRN = normed(x_BGTE.unflatten(3, (R, -1)), weight_N, 1e-5)
            x_BGxTE = x_BGTRN.flatten(3).unsqueeze(2)
            made.append(x_BGxTE.expand(-1, -1, H // x_BGTE.shape[1], -1, -1).flatten(1, 2))
        return made

    def _turned(self, vectors: Sequence[Tensor], turns_BHTS: Tensor) -> list[Tensor]:
        """(B, H, T, R, N) of (B, H, T, E)."""
        angle_BHTxS = (2 * math.pi * turns_BHTS).unsqueeze(3)
        dtype, made = vectors[0].dtype, []
        cos_BHTxS, sin_BHTxS = angle_BHTxS.cos().to(dtype), angle_BHTxS.sin().to(dtype)
        for x_BHTE, bias_HxRN in zip(vectors, self.bias_2HxRN, strict=True):
            x_BHTRN = x_BHTE.unflatten(3, bias_HxRN.shape[2:]) + bias_HxRN.to(dtype)
            made.append(turned(x_BHTRN, cos_BHTxS, sin_BHTxS))
        return made


def _turns_so_far(more_BHTS: Tensor, before_BHS: Tensor | None) -> Tensor:
    """Running sums in whole chunks. Full turns are dropped chunk by chunk, so that precision does
    not depend on the length.
    """
    within_BHZCS = more_BHTS.unflatten(2, (-1, CHUNK)).cumsum(3)
    now_BHS = torch.zeros_like(more_BHTS[:, :, 0]) if before_BHS is None else before_BHS
    before: list[Tensor] = []
    for ends_BHS in within_BHZCS[:, :, :, -1].unbind(2):
        before.append(now_BHS.remainder(1))
        now_BHS = before[-1] + ends_BHS
    return (within_BHZCS + torch.stack(before, dim=2).unsqueeze(3)).flatten(2, 3)


def _trapezoids(
    q_BHTRN: Tensor,
    k_BHTRN: Tensor,
    v_BHTRP: Tensor,
    own_BHT: Tensor,
    later_BHT: Tensor,
    decay_BHT: Tensor,
    state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Whole chunks, and the state after them, including the last token's rest. A token has weight
    `own_BHT` for itself and `later_BHT` for later ones.
    """
    dtype, R = v_BHTRP.dtype, v_BHTRP.shape[3]
    C = max(1, CHUNK >> (R - 1).bit_length())  # so that C R is about a chunk
    q_BHZXN, k_BHZXN, v_BHZXP = (
        x.unflatten(2, (-1, C)).flatten(3, 4) for x in (q_BHTRN, k_BHTRN, v_BHTRP)
    )
    own_BHZC, later_BHZC = own_BHT.unflatten(2, (-1, C)), later_BHT.unflatten(2, (-1, C))
    fade_BHZC = (decay_BHT * LOG2E).unflatten(2, (-1, C)).cumsum(3)
    last_BHZ1 = fade_BHZC[..., -1:]
    within_BHZXX = _within(own_BHZC, later_BHZC, fade_BHZC).to(dtype)
    kept_BHZX = (later_BHZC * (last_BHZ1 - fade_BHZC).exp2()).to(dtype)
    seen_BHZX = fade_BHZC.exp2().to(dtype)
    if R > 1:
        within_BHZXX = within_BHZXX.repeat_interleave(R, 3).repeat_interleave(R, 4)
        kept_BHZX, seen_BHZX = (x.repeat_interleave(R, 3) for x in (kept_BHZX, seen_BHZX))
    sums_BHZNP = wide((k_BHZXN * kept_BHZX.unsqueeze(-1)).mT @ v_BHZXP)
    before_BHZNP, state = running(state, sums_BHZNP, last_BHZ1.exp2().unsqueeze(-1))
    y_BHZXP = ((q_BHZXN @ k_BHZXN.mT) * within_BHZXX) @ v_BHZXP
    y_BHZXP = y_BHZXP + (q_BHZXN * seen_BHZX.unsqueeze(-1)) @ before_BHZNP.to(dtype)
    return y_BHZXP.unflatten(3, (C, R)).flatten(2, 3), state


def _within(own_BHZC: Tensor, later_BHZC: Tensor, fade_BHZC: Tensor) -> Tensor:
    """The weight of token j of a chunk at token i, (B, H, Z, C, C)."""
    C = own_BHZC.shape[-1]
    ones_CC = torch.ones(C, C, dtype=torch.bool, device=own_BHZC.device)
    away_BHZCC = fade_BHZC.unsqueeze(-1) - fade_BHZC.unsqueeze(-2)
    left_BHZCC = away_BHZCC.masked_fill_(ones_CC.triu(), -torch.inf).exp2()
    later_BHZCC = left_BHZCC * later_BHZC.unsqueeze(-2)
    return torch.where(ones_CC.tril().triu(), own_BHZC.unsqueeze(-1), later_BHZCC)
