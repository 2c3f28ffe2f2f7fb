"""Softmax attention whose scores decay by a gate per token, in fused kernels, causal.

out_i = softmax over j <= i of (q_i k_j / sqrt K + g_(j+1) + ... + g_i) v_j with g <= 0. The bias is
a difference c_i - c_j of running sums, which grow with the length until the difference of two loses
all precision. So the length is halved recursively, and queries of a right half see keys of the left
half by sums that start between the two at m: c_i - c_m of the query is added to its log-sum-exp,
and c_m - c_j of the key to its scores. No number is larger than the decay it represents. Halves are
merged by log-sum-exp.

S tokens of a half, X pairs of halves, W: K and the channels that hold the keys' sums.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.parts import fused
from effattn_cli.parts.blocks import even
from effattn_cli.parts.lse_merge import take_in

SMALLEST = 1024  # tokens that are not halved further: shorter ones are slower on a CPU


def fading(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, gate_BHT: Tensor) -> Tensor:
    """Forget-gate attention; the gates are logarithms, none above 0."""
    if q_BHTK.dtype == torch.float16:  # its range is too small for sums
        return fading(*(x.float() for x in (q_BHTK, k_BHTK, v_BHTK, gate_BHT))).half()
    T = q_BHTK.shape[2]
    blocks = 2 ** max(0, math.ceil(math.log2(T / SMALLEST)))
    qkv = (even(x, blocks).transpose(1, 2).contiguous() for x in (q_BHTK, k_BHTK, v_BHTK))
    gate_BTHx = pad(gate_BHT, (0, -T % blocks)).mT.unsqueeze(-1)
    inputs = *qkv, running(gate_BTHx, 1)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        fade: Any = _Fading.apply
        return fade(blocks, *inputs).transpose(1, 2)[:, :, :T]
    return _merged(blocks, *inputs)[0].transpose(1, 2)[:, :, :T]


def running(gate: Tensor, dim: int) -> Tensor:
    """Running sums, in float64 if the device has it, so that differences stay precise."""
    maximum = torch.float32 if gate.device.type == "mps" else torch.float64
    return gate.to(maximum).cumsum(dim)


@dataclass(frozen=True)
class _Step:
    """Blocks that see themselves, or right halves of pairs that see the left ones."""

    size: int
    halves: bool

    def queries(self, x_BTHE: Tensor) -> Tensor:
        """(X, S, H, E), a view."""
        shape = x_BTHE.shape[2:]
        return x_BTHE.view(-1, 2, self.size, *shape)[:, 1] if self.halves else self.keys(x_BTHE)

    def keys(self, x_BTHE: Tensor) -> Tensor:
        x_XSHE = x_BTHE.view(-1, (1 + self.halves) * self.size, *x_BTHE.shape[2:])
        return x_XSHE[:, : self.size]

    def sums(self, sum_BTHx: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The sums to add for queries and for keys, relative to a key before all queries."""
        query, key = self.queries(sum_BTHx), self.keys(sum_BTHx)
        start = key[:, -1:] if self.halves else key[:, :1]
        return (query - start).to(dtype), (start - key).to(dtype)


def _steps(tokens: int, blocks: int) -> Iterator[_Step]:
    size = tokens // blocks
    yield _Step(size, halves=False)
    while size < tokens:
        yield _Step(size, halves=True)
        size *= 2


class _Fading(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, blocks: int, *inputs: Tensor) -> Tensor:
        out_BTHK, total_BTHx = _merged(blocks, *inputs)
        ctx.blocks = blocks
        ctx.save_for_backward(*inputs, out_BTHK, total_BTHx)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """For gradients, channels of k hold the running sums of keys, and one of q those of q.

        The gradient of c_i is only the rounding error of the other gradients; half types need it.
        """
        *qkv, sum_BTHx, out_BTHK, total_BTHx = ctx.saved_tensors
        K, scale = out_BTHK.shape[3], out_BTHK.shape[3] ** -0.5
        q, k, v = _widened(*qkv)
        grad, out = (pad(x, (0, q.shape[3] - K)) for x in (grads[0], out_BTHK))
        totals: list[Tensor] = []
        for step in _steps(q.shape[1], ctx.blocks):
            shift_XSHx, bias_XSHx = step.sums(sum_BTHx, total_BTHx.dtype)
            _write(step.keys(k), bias_XSHx / scale, K)
            log_sum_XSHx = step.queries(total_BTHx) - shift_XSHx
            of_q = [step.queries(x).transpose(1, 2) for x in (grad, q, out)]
            of_k = [step.keys(x).transpose(1, 2) for x in (k, v)]
            log_sum_XHS = log_sum_XSHx.squeeze(-1).transpose(1, 2)
            pieces = fused.backward(
                of_q[0], of_q[1], of_k[0], of_k[1], of_q[2], log_sum_XHS,
                causal=not step.halves, scale=scale,
            )  # fmt: skip
            if not step.halves:
                totals = [piece.transpose(1, 2).reshape(q.shape) for piece in pieces]
                continue
            for i, piece in enumerate(pieces):
                into = step.keys(totals[i]) if i else step.queries(totals[i])
                into += piece.transpose(1, 2)
        of_query, of_key = totals[0][..., K + _channels(q), None], totals[1][..., K, None]
        of_sum_BTHx = (of_query.to(sum_BTHx.dtype) - of_key) / scale
        return None, *(total[..., :K] for total in totals), of_sum_BTHx


def _merged(
    blocks: int, q: Tensor, k: Tensor, v: Tensor, sum_BTHx: Tensor
) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K) and the log-sum-exp (B, T, H, 1)."""
    shape, scale, masks = q.shape, q.shape[3] ** -0.5, _masks_pay(q)
    q, k, v = (q, k, v) if masks else _widened(q, k, v)
    out_BTHK = total_BTHx = q  # overwritten by the first step
    for step in _steps(shape[1], blocks):
        shift_XSHx, bias_XSHx = step.sums(sum_BTHx, torch.promote_types(q.dtype, torch.float32))
        if not masks:
            _write(step.keys(k), bias_XSHx / scale, shape[3])
        mask_XHxS = bias_XSHx.permute(0, 2, 3, 1) if masks else None
        folded = [x.transpose(1, 2) for x in (step.queries(q), step.keys(k), step.keys(v))]
        out_XHSW, log_sum_XHS = fused.forward(
            folded[0], folded[1], folded[2], mask_XHxS, causal=not step.halves, scale=scale
        )
        more_XSHK = out_XHSW[..., : shape[3]].transpose(1, 2)
        more_XSHx = log_sum_XHS.transpose(1, 2).unsqueeze(-1) + shift_XSHx
        if not step.halves:
            out_BTHK, total_BTHx = more_XSHK.reshape(shape), more_XSHx.reshape(*shape[:3], 1)
            continue
        take_in(step.queries(out_BTHK), step.queries(total_BTHx), more_XSHK, more_XSHx)
    return out_BTHK, total_BTHx


def _masks_pay(q: Tensor) -> bool:
    """Whether a key's sum is a mask: free on a CPU, but on CUDA it would be rounded."""
    return q.device.type == "cpu"


def _widened(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Adds channels: some for the sums of keys, where q is 1, and one where k is 1 and q is 0,
    whose gradient is that of a query's sum.
    """
    channels = _channels(q)
    room = channels + 1
    if q.device.type != "cpu":
        room += -(q.shape[3] + room) % 8
    one, other = pad(q, (0, channels), value=1.0), pad(k, (0, channels))
    return (
        pad(one, (0, room - channels)),
        pad(pad(other, (0, 1), value=1.0), (0, room - channels - 1)),
        pad(v, (0, room)),
    )


def _channels(q: Tensor) -> int:
    """How many values of the dtype hold one float32 value."""
    return 1 if torch.finfo(q.dtype).bits >= 32 else 3


def _write(k_XSHW: Tensor, sum_XSHx: Tensor, first: int) -> None:
    """Writes to the channels from `first` on: the rounded number, then the rounding error."""
    for channel in range(first, first + _channels(k_XSHW)):
        k_XSHW[..., channel : channel + 1] = sum_XSHx
        sum_XSHx = sum_XSHx - k_XSHW[..., channel : channel + 1]
