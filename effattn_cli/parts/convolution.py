"""Causal convolutions with a filter for each channel: long ones by Fourier transforms, short ones.

C channels, S taps of a short filter, W units and E features of the network that gives a long one.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft
from torch.nn.functional import conv2d, linear

from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.precision import wide

CACHED = 2**18  # numbers of padded channels at a time that stay in the caches of a CPU
NARROWEST = 16  # channels: of fewer, a row of memory is read for nothing
SLOW, FAST = (math.log(100) / share for share in (1.5, 0.3))  # a window is 1/100 after that share


# Inductor has no code for complex numbers.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def long_convolution(u_BTC: Tensor, h_CT: Tensor) -> Tensor:
    """y_t = sum over s <= t of h_(t - s) u_s, for each channel, in float32 at least.

    By transforms of twice the length or little more: N log N operations a channel. Their rounding
    goes everywhere: an output changes with later tokens, as far as rounding goes.
    """
    convolve: Any = _Long.apply
    return convolve(u_BTC, h_CT)


class _Long(torch.autograd.Function):
    """Keeps the inputs, not their spectra, which are four times as large."""

    @staticmethod
    def forward(ctx: Any, u_BTC: Tensor, h_CT: Tensor) -> Tensor:
        ctx.save_for_backward(u_BTC, h_CT)
        u_BCT, out_BTC = _channels_first(u_BTC), torch.empty_like(u_BTC)
        T, size = u_BTC.shape[1], transform_length(u_BTC.shape[1])
        for at in _pieces(u_BTC, size):
            spectrum_BCF = rfft(u_BCT[:, at], size).mul_(rfft(h_CT[at], size))
            out_BTC[..., at] = irfft(spectrum_BCF, size)[..., :T].mT
        return out_BTC

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        u_BTC, h_CT = ctx.saved_tensors
        u_BCT, grad_BCT = _channels_first(u_BTC), _channels_first(grads[0])
        T, size = u_BTC.shape[1], transform_length(u_BTC.shape[1])
        du_BTC, dh_CT = torch.empty_like(u_BTC), torch.empty_like(h_CT)
        for at in _pieces(u_BTC, size):
            grad_BCF = rfft(grad_BCT[:, at], size)
            of_h_BCF = rfft(u_BCT[:, at], size).conj() * grad_BCF
            dh_CT[at] = irfft(of_h_BCF.sum(0), size)[..., :T]
            of_u_BCF = grad_BCF.mul_(rfft(h_CT[at], size).conj())
            du_BTC[..., at] = irfft(of_u_BCF, size)[..., :T].mT
        return du_BTC, dh_CT


def _channels_first(x_BTC: Tensor) -> Tensor:
    """In float32 at least, contiguous."""
    x_BTC = wide(x_BTC)
    if not pieces_pay(x_BTC):
        return x_BTC.mT.contiguous()
    # A sequence at a time: of whole matrices only, a CPU makes the transpose by blocks.
    x_BCT = x_BTC.new_empty(x_BTC.mT.shape)
    for out_CT, x_TC in zip(x_BCT, x_BTC.contiguous(), strict=True):
        out_CT.copy_(x_TC.mT)
    return x_BCT


def _pieces(x_BTC: Tensor, size: int) -> list[slice]:
    """The channels to work on at a time."""
    B, _, C = x_BTC.shape
    piece = max(NARROWEST, CACHED // (B * size)) if pieces_pay(x_BTC) else C
    return [slice(at, at + piece) for at in range(0, C, piece)]


def transform_length(tokens: int) -> int:
    """The least even length of twice the tokens or more that has small factors only."""
    return min(
        factor << max(1, (-(-2 * tokens // factor) - 1).bit_length())
        for factor in (1, 3, 5, 9, 15, 27, 45)
    )


def short_convolution(x_BTC: Tensor, taps_CS: Tensor, bias_C: Tensor) -> Tensor:
    """y_t = bias + sum over s of taps_s x_(t - S + 1 + s), with nothing before the first token."""
    if not torch.is_grad_enabled():  # dynamo warns about a Function through which no gradient goes
        return _filtered(x_BTC, taps_CS, bias_C)[:, : x_BTC.shape[1]]
    convolve: Any = _Short.apply
    return convolve(x_BTC, taps_CS, bias_C)


class _Short(torch.autograd.Function):
    """On a CPU a gradient of taps by sums of products takes a sixth of the operator's own."""

    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, taps_CS: Tensor, bias_C: Tensor) -> Tensor:
        ctx.save_for_backward(x_BTC, taps_CS)
        return _filtered(x_BTC, taps_CS, bias_C)[:, : x_BTC.shape[1]]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x_BTC, taps_CS = ctx.saved_tensors
        grad_BTC, T, S = grads[0], x_BTC.shape[1], taps_CS.shape[1]
        dx_BTC = _filtered(grad_BTC, taps_CS.flip(1), None)[:, S - 1 :]
        dtaps = [
            (grad_BTC[:, back:] * x_BTC[:, : max(0, T - back)]).sum((0, 1))
            for back in reversed(range(S))  # tokens between a tap's input and its output
        ]
        return dx_BTC, torch.stack(dtaps, dim=1), grad_BTC.sum((0, 1))


def _filtered(x_BTC: Tensor, taps_CS: Tensor, bias_C: Tensor | None) -> Tensor:
    """With S - 1 outputs after the last token, which see the end of it.

    As a picture one pixel high, whose channels are last in memory: oneDNN takes it as it is, and
    is many times as fast as `conv1d`, which has the tokens last.
    """
    C, S = taps_CS.shape
    x_BCxT = x_BTC.contiguous().mT.unsqueeze(2)
    y_BCxR = conv2d(x_BCxT, taps_CS[:, None, None], bias_C, padding=(0, S - 1), groups=C)
    return y_BCxR.squeeze(2).mT


class ImplicitFilter(nn.Module):
    """A filter that a network gives, tap by tap, and the share of the input that goes past it.

    h_t = f(t) exp(-c t / L), and h_0 more by d. f is of t / L and of the cosines and sines of
    2 pi j t / L for j below J; its hidden layers end in a sine.
    """

    def __init__(
        self, channels: int, longest: int, *, features: int, layers: int, width: int, start: float
    ) -> None:
        super().__init__()
        self.longest, self.waves, self.channels = longest, features // 2, channels
        widths = [features, *[width] * layers]
        self.hidden = nn.ModuleList(map(nn.Linear, widths, widths[1:]))
        self.frequency_W = nn.Parameter(torch.full((width,), start))
        self.last = nn.Linear(width, channels, bias=False)
        self.direct_C = nn.Parameter(torch.randn(channels))

    def forward(self, tokens: int) -> Tensor:
        """The first taps, (C, T), in float32 at least."""
        like: Any = {"dtype": wide(self.direct_C).dtype, "device": self.direct_C.device}
        at_T1 = torch.arange(tokens, **like).unsqueeze(1)
        angle_TJ = at_T1 * (torch.arange(self.waves, **like) * (2 * math.pi / self.longest))
        at_T1 = at_T1 / max(1, self.longest - 1)
        x_TW = torch.cat([at_T1, angle_TJ.cos(), angle_TJ.sin()], dim=1)
        hidden: Any = self.hidden
        for layer in hidden:
            x_TW = (linear(x_TW, wide(layer.weight), wide(layer.bias)) * self.frequency_W).sin()
        fade_C1 = torch.linspace(SLOW, FAST, self.channels, **like).unsqueeze(1)
        h_CT = wide(self.last.weight) @ x_TW.mT * torch.exp(-fade_C1 * at_T1.mT)
        h_CT[:, 0] += self.direct_C
        return h_CT
