"""A causal convolution of each channel over the last few tokens, as before linear attention.

E channels, L taps, S = L - 1 tokens before the present one.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad, silu

from effattn_cli.parts.chunked import CACHED, pieces_pay


class ShortConv(nn.Module):
    """y_t = sum over s of w_s x_(t - S + s), of each channel by itself, then SiLU if wished.

    Weights start as those of `nn.Conv1d` do: uniform up to 1 / sqrt L.
    """

    def __init__(
        self, channels: int, taps: int, *, bias: bool = False, activate: bool = True
    ) -> None:
        super().__init__()
        reach = taps**-0.5
        self.weight_EL = nn.Parameter(torch.empty(channels, taps).uniform_(-reach, reach))
        self.bias_E = nn.Parameter(torch.empty(channels).uniform_(-reach, reach)) if bias else None
        self.activate = activate

    @property
    def before(self) -> int:
        """Tokens before the present one that it sees."""
        return self.weight_EL.shape[1] - 1

    def forward(self, x_BTE: Tensor) -> Tensor:
        x_BSE = pad(x_BTE, (0, 0, self.before, 0))
        given = (x_BSE, self.weight_EL, self.bias_E, self.activate)
        if not pieces_pay(x_BTE):
            y_BTE = conv1d(
                x_BSE.mT, self.weight_EL.unsqueeze(1), self.bias_E, groups=x_BTE.shape[2]
            ).mT
            return silu(y_BTE) if self.activate else y_BTE
        if torch.is_grad_enabled():
            convolve: Any = _Convolution.apply
            return convolve(*given)
        return _convolved(*given)

    def step(self, x_BE: Tensor, recent_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """One token, and the tokens that the next one will see."""
        seen_BLE = torch.cat([recent_BSE, x_BE.unsqueeze(1)], dim=1)
        y_BE = (seen_BLE * self.weight_EL.T).sum(1)
        y_BE = y_BE if self.bias_E is None else y_BE + self.bias_E
        return silu(y_BE) if self.activate else y_BE, seen_BLE[:, 1:]


class _Convolution(torch.autograd.Function):
    """Keeps its input only; what is before the activation is made again."""

    @staticmethod
    def forward(
        ctx: Any,
        x_BSE: Tensor,
        weight_EL: Tensor,
        bias_E: Tensor | None,
        activate: bool,  # noqa: FBT001
    ) -> Tensor:
        ctx.activate = activate
        ctx.save_for_backward(x_BSE, weight_EL, bias_E)
        return _convolved(x_BSE, weight_EL, bias_E, activate)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        x_BSE, weight_EL, bias_E = ctx.saved_tensors
        taps_LE = weight_EL.T.contiguous()
        grad_BSE, grad_LE = torch.zeros_like(x_BSE), torch.zeros_like(taps_LE)
        grad_E = None if bias_E is None else torch.zeros_like(bias_E)
        for start, end in _pieces(grads[0]):
            piece_BCE = grads[0][:, start:end]
            if ctx.activate:
                inner_BCE = _sum(x_BSE, taps_LE, bias_E, start, end)
                piece_BCE = torch.ops.aten.silu_backward(piece_BCE, inner_BCE)
            for tap, tap_E in enumerate(taps_LE):
                rows = slice(start + tap, end + tap)
                grad_BSE[:, rows].addcmul_(piece_BCE, tap_E)
                grad_LE[tap] += torch.linalg.vecdot(piece_BCE, x_BSE[:, rows], dim=1).sum(0)
            if grad_E is not None:
                grad_E += piece_BCE.sum((0, 1))
        return grad_BSE, grad_LE.T, grad_E, None


def _convolved(
    x_BSE: Tensor,
    weight_EL: Tensor,
    bias_E: Tensor | None,
    activate: bool,  # noqa: FBT001
) -> Tensor:
    """A piece of the length at a time, so that all taps find it in the cache."""
    B, S, E = x_BSE.shape
    taps_LE = weight_EL.T.contiguous()
    y_BTE = x_BSE.new_empty(B, S - len(taps_LE) + 1, E)
    for start, end in _pieces(y_BTE):
        inner_BCE = _sum(x_BSE, taps_LE, bias_E, start, end)
        y_BTE[:, start:end] = silu(inner_BCE) if activate else inner_BCE
    return y_BTE


def _pieces(y_BTE: Tensor) -> Iterator[tuple[int, int]]:
    B, T, E = y_BTE.shape
    tokens = max(1, CACHED // (B * E))
    for start in range(0, T, tokens):
        yield start, min(start + tokens, T)


def _sum(x_BSE: Tensor, taps_LE: Tensor, bias_E: Tensor | None, start: int, end: int) -> Tensor:
    y_BCE = x_BSE[:, start:end] * taps_LE[0]
    for tap, tap_E in enumerate(taps_LE[1:], start=1):
        y_BCE.addcmul_(x_BSE[:, start + tap : end + tap], tap_E)
    return y_BCE if bias_E is None else y_BCE.add_(bias_E)
