"""FNet: the Fourier transform in place of attention."""

from typing import Any, final

import torch
from torch import Tensor

from effattn_cli.attention import Card
from effattn_cli.parts.tokens import TokenMixer


@final
class FNet(TokenMixer):
    """Mixes all tokens and features by the real part of a 2D Fourier transform.

    out = Re F_T(F_D(x)), without any parameters (FNet, Lee-Thorp et al. 2021, arXiv:2105.03824).
    """

    card = Card(
        title="FNet",
        families=("mixer",),
        paper="arXiv:2105.03824",
        year=2021,
        time="N log N",
        memory="N",
        causal="never",
        kind="own mechanism",
        aliases=("fourier",),
        padding=False,
        notes=(
            "no heads and no projections, as in the paper: the layer is the transform of x, and the"
            " core is the same transform of the values, heads merged",
            "there is no mask: padding is mixed into every token like any other",
            "only half of the spectrum is computed: that of real numbers is symmetric",
        ),
    )

    # Inductor does not compile complex numbers, and there is nothing to fuse.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def mix_tokens(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        return _Fourier.apply(x_BTD)  # type: ignore[no-untyped-call]


class _Fourier(torch.autograd.Function):
    """Linear and symmetric, so the gradient is the same transform of the output's gradient."""

    @staticmethod
    def forward(_: Any, x_BTD: Tensor) -> Tensor:
        return _fourier(x_BTD)

    @staticmethod
    def backward(_: Any, grad_BTD: Tensor) -> Tensor:
        return _Fourier.apply(grad_BTD)  # type: ignore[no-untyped-call]


def _fourier(x_BTD: Tensor) -> Tensor:
    wide = torch.promote_types(x_BTD.dtype, torch.float32)
    half_BTF = torch.fft.rfft2(x_BTD.to(wide), dim=(1, 2)).real
    D, F = x_BTD.shape[2], half_BTF.shape[2]
    out_BTD = torch.empty_like(x_BTD)
    out_BTD[..., :F] = half_BTF
    # The rest is F(t, d) = conj F(-t, -d), where -0 is 0.
    for tokens in (slice(0, 1), slice(1, None)):
        out_BTD[:, tokens, F:] = half_BTF[:, tokens, 1 : D - F + 1].flip(1, 2)
    return out_BTD
