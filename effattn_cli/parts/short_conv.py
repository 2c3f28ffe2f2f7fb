"""A causal convolution of each channel over the last few tokens, as used before linear attention.

E channels, L taps, S = L - 1 tokens before the current one.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, silu

from effattn_cli.parts.operators import operator


class ShortConv(nn.Module):
    """y_t = sum over s of w_s x_(t - S + s), for each channel separately, then optionally SiLU.

    Weights are initialised like those of `nn.Conv1d`: uniform up to 1 / sqrt L.
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
        """How many tokens before the current one it sees."""
        return self.weight_EL.shape[1] - 1

    def forward(self, x_BTE: Tensor) -> Tensor:
        return short_convolution(x_BTE, self.weight_EL, self.bias_E, activate=self.activate)

    def step(self, x_BE: Tensor, recent_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """One token, and the tokens that the next one will see."""
        return short_convolution_step(
            x_BE, self.weight_EL, self.bias_E, recent_BSE, activate=self.activate
        )


@operator(0)
def short_convolution(
    x_BTE: Tensor, weight_EL: Tensor, bias_E: Tensor | None, *, activate: bool = False
) -> Tensor:
    """The convolution, with zeros before the first token."""
    if torch.is_grad_enabled():  # otherwise dynamo warns about a Function without a gradient
        convolve: Any = _Convolution.apply
        y_BTE: Tensor = convolve(x_BTE, weight_EL, bias_E)
    else:
        y_BTE = _filtered(x_BTE, weight_EL, bias_E)[:, : x_BTE.shape[1]]
    return silu(y_BTE) if activate else y_BTE


@operator(0, 3)
def short_convolution_step(
    x_BE: Tensor,
    weight_EL: Tensor,
    bias_E: Tensor | None,
    recent_BSE: Tensor,
    *,
    activate: bool = False,
) -> tuple[Tensor, Tensor]:
    """One token, and the tokens that the next one will see."""
    seen_BLE = torch.cat([recent_BSE, x_BE.unsqueeze(1)], dim=1)
    y_BE = (seen_BLE * weight_EL.T).sum(1)
    y_BE = y_BE if bias_E is None else y_BE + bias_E
    return silu(y_BE) if activate else y_BE, seen_BLE[:, 1:]


class _Convolution(torch.autograd.Function):
    """On a CPU, its gradient of the taps takes a sixth of the time of the operator's own."""

    @staticmethod
    def forward(ctx: Any, x_BTE: Tensor, weight_EL: Tensor, bias_E: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_BTE, weight_EL)
        ctx.biased = bias_E is not None
        return _filtered(x_BTE, weight_EL, bias_E)[:, : x_BTE.shape[1]]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x_BTE, weight_EL = ctx.saved_tensors
        grad_BTE, T, L = grads[0], x_BTE.shape[1], weight_EL.shape[1]
        dx_BTE = _filtered(grad_BTE, weight_EL.flip(1), None)[:, L - 1 :]
        dtaps = [
            (grad_BTE[:, back:] * x_BTE[:, : max(0, T - back)]).sum((0, 1))
            for back in reversed(range(L))  # tokens between a tap's input and its output
        ]
        return dx_BTE, torch.stack(dtaps, dim=1), grad_BTE.sum((0, 1)) if ctx.biased else None


def _filtered(x_BTE: Tensor, weight_EL: Tensor, bias_E: Tensor | None) -> Tensor:
    """Also returns S outputs after the last token, which still see the end of the sequence.

    Run as a channels-last image one pixel high: oneDNN takes that without a copy, many times as
    fast as `conv1d` on channels-first memory.
    """
    E, L = weight_EL.shape
    x_BExT = x_BTE.contiguous().mT.unsqueeze(2)
    y_BExR = conv2d(x_BExT, weight_EL[:, None, None], bias_E, padding=(0, L - 1), groups=E)
    return y_BExR.squeeze(2).mT
