"""Gated sums of [v, 1] k^T, with input and forget gates that may be exponentials of any size.

All sums are stored times exp(-m), m being the log of the largest gate so far, decayed up to now:
nothing overflows, and m cancels in the quotient.

F channels of a query or key, E = V + 1 columns of [v, 1], C tokens of a chunk, Z chunks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.parts.blocks import even
from effattn_cli.parts.chunked import CHUNK, pieces_pay, running
from effattn_cli.parts.precision import wide

CACHED = (
    2**18
)  # products within chunks that are computed at a time, so that they fit in a CPU's caches
MOST = 69.0  # bound on |m|: beyond it exp(m) or exp(-m) is below 1e-30, which is negligible


@dataclass(frozen=True)
class Memory:
    """Independent of the number of tokens: the sums times exp(-m), and m; in at least float32."""

    sum_BHEF: Tensor
    top_BH: Tensor

    def step(
        self, q_BHF: Tensor, k_BHF: Tensor, v_BHV: Tensor, in_BH: Tensor, keep_BH: Tensor
    ) -> tuple[Tensor, "Memory"]:
        """One more token; `in_BH` and `keep_BH` are the logs of its gates."""
        top_BH = torch.maximum(keep_BH + self.top_BH, in_BH)
        left_BH11 = (keep_BH + self.top_BH - top_BH).exp()[..., None, None]
        k_BHxF = (wide(k_BHF) * (in_BH - top_BH).exp().unsqueeze(-1)).unsqueeze(2)
        new_BHEF = pad(wide(v_BHV), (0, 1), value=1.0).unsqueeze(3) * k_BHxF
        sum_BHEF = torch.addcmul(new_BHEF, self.sum_BHEF, left_BH11)
        out_BHE = (sum_BHEF @ (wide(q_BHF) * q_BHF.shape[2] ** -0.5).unsqueeze(3)).squeeze(3)
        return _quotient(out_BHE, top_BH).to(v_BHV.dtype), Memory(sum_BHEF, top_BH)


def read(
    q_BHTF: Tensor, k_BHTF: Tensor, v_BHTV: Tensor, in_BHT: Tensor, keep_BHT: Tensor
) -> Tensor:
    """C q / max(|n q|, 1) of each query, C being the sums with v and n those with 1, and k divided
    by sqrt F.

    Processed in pieces that fit in a CPU's caches.
    """
    (B, H, T, F), V = q_BHTF.shape, v_BHTV.shape[3]
    tokens = max(1, CACHED // (B * H * CHUNK**2)) * CHUNK if pieces_pay(q_BHTF) else T
    sum_BHEF = wide(q_BHTF.new_zeros(B, H, V + 1, F))
    memory = Memory(sum_BHEF, torch.full_like(sum_BHEF[..., 0, 0], -torch.inf))
    outs = []
    inputs = (torch.split(x, tokens, dim=2) for x in (q_BHTF, k_BHTF, v_BHTV, in_BHT, keep_BHT))
    for piece in zip(*inputs, strict=True):
        out_BHTV, memory = _piece(memory, *piece)
        outs.append(out_BHTV)
    return torch.cat(outs, dim=2)


def _piece(
    memory: Memory, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTV: Tensor, in_BHT: Tensor, keep_BHT: Tensor
) -> tuple[Tensor, Memory]:
    """The output for the tokens after the memory, and the memory after them if chunks are whole."""
    T, dtype = q_BHTF.shape[2], q_BHTF.dtype
    q_BHZCF, k_BHZCF = _chunks(q_BHTF * q_BHTF.shape[3] ** -0.5), _chunks(k_BHTF)
    v_BHZCE = pad(_chunks(v_BHTV), (0, 1), value=1.0)
    in_BHZC, keep_BHZC = (_chunks(wide(x).unsqueeze(3)).squeeze(4) for x in (in_BHT, keep_BHT))
    fade_BHZC = keep_BHZC.cumsum(3)
    # exp(fade_i + own_j) is the fraction of token j's input that remains at token i.
    own_BHZC = in_BHZC - fade_BHZC
    all_BHZ = fade_BHZC[..., -1]
    top_BHZC, before_BHZ, after_BHZ = _tops(own_BHZC.detach(), all_BHZ.detach(), memory.top_BH)
    shares_BHZCC = _weights(own_BHZC, top_BHZC).to(dtype) * (q_BHZCF @ k_BHZCF.mT)
    new_BHZC1 = (all_BHZ.unsqueeze(3) + own_BHZC - after_BHZ.unsqueeze(3)).exp().unsqueeze(4)
    left_BHZ11 = (all_BHZ + before_BHZ - after_BHZ).exp()[..., None, None]
    old_BHZC1 = (before_BHZ.unsqueeze(3) - top_BHZC).exp().unsqueeze(4)
    new_BHZEF = wide(v_BHZCE.mT @ (k_BHZCF * new_BHZC1.to(dtype)))
    before_BHZEF, sum_BHEF = running(memory.sum_BHEF, new_BHZEF, left_BHZ11)
    from_BHZCE = (q_BHZCF * old_BHZC1.to(dtype)) @ before_BHZEF.to(dtype).mT
    out_BHZCE = shares_BHZCC @ v_BHZCE + from_BHZCE
    out_BHZCV = _quotient(out_BHZCE, fade_BHZC + top_BHZC)
    out_BHTV = out_BHZCV.flatten(2, 3)[:, :, :T].to(dtype)
    return out_BHTV, Memory(sum_BHEF, after_BHZ[..., -1])


def _tops(own_BHZC: Tensor, all_BHZ: Tensor, top_BH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each token's m, minus the decay of the chunk up to it; and m before and after each chunk.

    Constants to autograd: the result does not depend on them.
    """
    run_BHZC = _running_most(own_BHZC)
    faded_BHZ = all_BHZ.cumsum(2)
    most_BHZ = _running_most(all_BHZ + run_BHZC[..., -1] - faded_BHZ)
    after_BHZ = faded_BHZ + torch.maximum(most_BHZ, top_BH.unsqueeze(2))
    before_BHZ = torch.cat([top_BH.unsqueeze(2), after_BHZ[..., :-1]], dim=2)
    return torch.maximum(run_BHZC, before_BHZ.unsqueeze(3)), before_BHZ, after_BHZ


def _running_most(x_xT: Tensor) -> Tensor:
    """The running maximum; when exporting, computed by repeated doubling."""
    if not torch.compiler.is_exporting():
        return x_xT.cummax(-1).values
    size = 1
    while size < x_xT.shape[-1]:
        x_xT = torch.maximum(x_xT, pad(x_xT[..., :-size], (size, 0), value=-torch.inf))
        size *= 2
    return x_xT


def _weights(own_BHZC: Tensor, top_BHZC: Tensor) -> Tensor:
    """The weight of token j of its chunk at token i; 0 above the diagonal, against overflow."""
    C = own_BHZC.shape[3]
    later_CC = torch.ones(C, C, dtype=torch.bool, device=own_BHZC.device).triu_(1)
    apart_BHZCC = own_BHZC.unsqueeze(3) - top_BHZC.unsqueeze(4)
    return apart_BHZCC.masked_fill(later_CC, -torch.inf).exp()


def _quotient(sums: Tensor, top: Tensor) -> Tensor:
    """The quotient of rows (..., E) stored times exp(-m), like the 1 in its denominator."""
    minimum = (-top).clamp(-MOST, MOST).exp().unsqueeze(-1)
    return sums[..., :-1] / torch.maximum(wide(sums[..., -1:]).abs(), minimum).to(sums.dtype)


def _chunks(x_BHTF: Tensor) -> Tensor:
    x_BHTF = even(x_BHTF, min(CHUNK, x_BHTF.shape[2]))
    B, H, T, F = x_BHTF.shape
    return x_BHTF.reshape(B, H, -1, min(CHUNK, T), F)
