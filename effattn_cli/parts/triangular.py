"""The inverse of unit lower triangular matrices, which solves a chunk of a delta rule.

C rows and columns, the tokens of a chunk.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.parts.chunked import CHUNK


def inverse(A_xCC: Tensor) -> Tensor:
    """(I + A)^-1, where A is taken below its diagonal only.

    The inverses of pairs of diagonal blocks are merged, starting from single elements: as exact as
    substitution, and all by matrix products. Powers of A would need fewer, but cancel
    catastrophically if keys are similar.
    """
    if torch.is_grad_enabled() and A_xCC.requires_grad:
        made: Any = _Inverse.apply
        return made(A_xCC)
    return _inverse(A_xCC)


class _Inverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A_xCC: Tensor) -> Tensor:
        solved_xCC = _inverse(A_xCC)
        ctx.save_for_backward(solved_xCC)
        return solved_xCC

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (solved_xCC,) = ctx.saved_tensors
        return -(solved_xCC.mT @ grads[0] @ solved_xCC.mT).tril(-1)


def _inverse(A_xCC: Tensor) -> Tensor:
    solved_xCC = torch.eye(CHUNK, dtype=A_xCC.dtype, device=A_xCC.device).repeat(
        *A_xCC.shape[:-2], 1, 1
    )
    half = 1
    while half < CHUNK:
        first, second = quarter(solved_xCC, half, 0, 0), quarter(solved_xCC, half, 1, 1)
        below = quarter(A_xCC, half, 1, 0)
        merged = -below if half == 1 else -(second @ (below @ first))
        solved_xCC = with_quarters(solved_xCC, half, merged)
        half *= 2
    return solved_xCC


def with_quarters(x_xCC: Tensor, half: int, below: Tensor) -> Tensor:
    """Fills the lower left quarters of the diagonal blocks, which are 0; in place, except in a
    compiled graph, which has no views of storage.
    """
    if not torch.compiler.is_compiling():
        quarter(x_xCC, half, 1, 0).copy_(below)
        return x_xCC
    blocks = CHUNK // (2 * half)
    eye_ZxZ1 = torch.eye(blocks, dtype=below.dtype, device=below.device).view(blocks, 1, blocks, 1)
    apart_xZRZR = below.unsqueeze(-2) * eye_ZxZ1
    whole = pad(apart_xZRZR.unsqueeze(-4).unsqueeze(-2), (0, 0, 0, 1, 0, 0, 0, 0, 1, 0))
    return x_xCC + whole.reshape(*below.shape[:-3], CHUNK, CHUNK)


def quarter(x_xCC: Tensor, half: int, row: int, column: int) -> Tensor:
    """The quarter at that row and column of each diagonal block of twice `half`,
    (..., C / (2 half), half, half); a view, except in a compiled graph.
    """
    if torch.compiler.is_compiling():  # a compiled graph has no views of storage
        blocks = CHUNK // (2 * half)
        of_rows = x_xCC.unflatten(-1, (blocks, 2, half)).select(-2, column)
        of_both = of_rows.unflatten(-3, (blocks, 2, half)).select(-4, row).transpose(-3, -2)
        each_Z = torch.arange(blocks, device=x_xCC.device)
        return of_both[..., each_Z, each_Z, :, :]
    down, right = x_xCC.stride()[-2:]
    return x_xCC.as_strided(
        (*x_xCC.shape[:-2], CHUNK // (2 * half), half, half),
        (*x_xCC.stride()[:-2], 2 * half * (down + right), down, right),
        x_xCC.storage_offset() + half * (row * down + column * right),
    )
