"""Causal convolutions with filters as long as the sequence, by FFT.

C channels, W units and E features of the network that generates the filters.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft
from torch.nn.functional import linear

from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.precision import wide

CACHED = 2**18  # elements of padded channels per piece, so that they fit in a CPU's caches
NARROWEST = 16  # channels; with fewer, some of the memory that is read would go unused
SLOW, FAST = (math.log(100) / share for share in (1.5, 0.3))  # a window is 1/100 after that share


# Inductor does not compile complex numbers.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def long_convolution(u_BTC: Tensor, h_CT: Tensor) -> Tensor:
    """y_t = sum over s <= t of h_(t - s) u_s, for each channel, in at least float32.

    By FFTs of at least twice the length: N log N operations per channel. Their rounding errors
    spread everywhere, so an output can depend on later tokens, up to rounding.
    """
    convolve: Any = _Long.apply
    return convolve(u_BTC, h_CT)


class _Long(torch.autograd.Function):
    """Saves the inputs, not their spectra, which are four times as large."""

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
    # One sequence at a time: a CPU transposes in blocks only for whole matrices.
    x_BCT = x_BTC.new_empty(x_BTC.mT.shape)
    for out_CT, x_TC in zip(x_BCT, x_BTC.contiguous(), strict=True):
        out_CT.copy_(x_TC.mT)
    return x_BCT


def _pieces(x_BTC: Tensor, size: int) -> list[slice]:
    """The channels to process at a time."""
    B, _, C = x_BTC.shape
    piece = max(NARROWEST, CACHED // (B * size)) if pieces_pay(x_BTC) else C
    return [slice(at, at + piece) for at in range(0, C, piece)]


def transform_length(tokens: int) -> int:
    """The smallest even length of at least twice the tokens that has only small prime factors."""
    return min(
        factor << max(1, (-(-2 * tokens // factor) - 1).bit_length())
        for factor in (1, 3, 5, 9, 15, 27, 45)
    )


class ImplicitFilter(nn.Module):
    """A filter generated tap by tap by a network, and the direct path from input to output.

    h_t = f(t) exp(-c t / L), with d added to h_0. f is a function of t / L and of the cosines and
    sines of 2 pi j t / L for j below J; its hidden layers end in a sine.
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
        """The first `tokens` taps, (C, T), in at least float32."""
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
