"""Several damped moving averages per channel, over the tokens so far.

C channels (twice D if bidirectional), S averages per channel, L tokens of a chunk, Z chunks, X
chunks of all sequences.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.precision import wide

CHUNK = 32  # tokens of a chunk; larger ones cost more products, smaller ones more running sums


class MovingAverage(nn.Module):
    """y_t = silu(eta m_t / sqrt S + omega x_t), m_t = alpha beta x_t + (1 - alpha delta) m_(t-1).

    alpha and delta are between 0 and 1. If not causal, a second average runs from the end to the
    token, with separate weights, and both are added.
    """

    def __init__(self, dim: int, size: int, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.size, channels = causal, size, dim if causal else 2 * dim
        self.alpha_CS, self.delta_CS = (  # logits
            nn.Parameter(0.2 * torch.randn(channels, size)) for _ in range(2)
        )
        signs_S = 1 - 2 * (torch.arange(size) % 2)
        self.beta_CS = nn.Parameter(signs_S + 0.02 * torch.randn(channels, size))
        self.eta_CS = nn.Parameter(torch.randn(channels, size))
        self.omega_D = nn.Parameter(torch.randn(dim))

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """(B, T, D); padding counts as 0. Computed in at least float32."""
        (B, T, D), x = x_BTD.shape, wide(x_BTD)
        if valid_BT is not None and not self.causal:  # if causal, right padding has no effect
            x = x * valid_BT.unsqueeze(2)
        x_CBT = _transposed(x.flatten(0, 1)).view(D, B, T)
        if self.causal:
            y_CBR = self._averaged(x_CBT)
        else:
            y_CBR = self._averaged(torch.cat([x_CBT, x_CBT.flip(2)]))[:, :, :T]
            y_CBR = y_CBR[:D] + y_CBR[D:].flip(2)
        y_BTD = _transposed(y_CBR.flatten(1)).view(B, -1, D)[:, :T]
        return silu(torch.addcmul(y_BTD, x, wide(self.omega_D))).to(x_BTD.dtype)

    def step(self, x_BD: Tensor, m_BDS: Tensor) -> tuple[Tensor, Tensor]:
        """The output at a token, and its averages."""
        lost_CS, enter_CS, leave_CS = self._rates()
        x = wide(x_BD)
        m_BDS = torch.addcmul(m_BDS - m_BDS * lost_CS, x.unsqueeze(2), enter_CS)
        y_BD = torch.addcmul((m_BDS * leave_CS).sum(2), x, wide(self.omega_D))
        return silu(y_BD).to(x_BD.dtype), m_BDS

    def _rates(self) -> tuple[Tensor, Tensor, Tensor]:
        """The decay, input and readout coefficients of the averages."""
        alpha_CS = wide(self.alpha_CS).sigmoid()
        lost_CS = alpha_CS * wide(self.delta_CS).sigmoid()
        lost_CS = lost_CS.clamp(max=1 - 1e-6)  # the rest needs a logarithm
        return lost_CS, alpha_CS * wide(self.beta_CS), wide(self.eta_CS) * self.size**-0.5

    def _averaged(self, x_CBT: Tensor) -> Tensor:
        """(C, B, T), padded to a multiple of L: within a chunk by one matrix per channel, and all
        earlier tokens through their S averages.
        """
        C, B, T = x_CBT.shape
        L = min(CHUNK, T)
        x_CBT = pad(x_CBT, (0, -T % L)) if T % L else x_CBT
        x_CXL = x_CBT.view(C, -1, L)
        lost_CS, enter_CS, leave_CS = (rate.unsqueeze(2) for rate in self._rates())
        age_P = torch.arange(L + 1, dtype=x_CBT.dtype, device=x_CBT.device)
        left_CSP = torch.exp(torch.log1p(-lost_CS) * age_P)  # after that many tokens
        taps_C1L = (enter_CS * leave_CS).mT @ left_CSP[..., :L]
        new_CXS = x_CXL @ (enter_CS * left_CSP[..., :L]).flip(2).mT
        before_CXS = _before(torch.unflatten(new_CXS, 1, (B, -1)), left_CSP[..., L]).flatten(1, 2)
        within_CXL = x_CXL @ _shifted(taps_C1L)
        return torch.baddbmm(within_CXL, before_CXS, leave_CS * left_CSP[..., 1:]).view(C, B, -1)


def _transposed(x: Tensor) -> Tensor:
    """Transposed in memory. A CPU transposes in blocks only for whole matrices."""
    transpose: Any = _Transpose.apply if torch.is_grad_enabled() else _made_transposed
    return transpose(x)


def _made_transposed(x: Tensor) -> Tensor:
    return x.mT.contiguous()


class _Transpose(torch.autograd.Function):
    """Transposes the gradient in memory too: otherwise many small matrix products are slow."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return _made_transposed(x)

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:
        return _made_transposed(grad)


def _shifted(taps_C1L: Tensor) -> Tensor:
    """The matrix that convolves a chunk: row j holds the taps from position j on, (C, L, L)."""
    C, _, L = taps_C1L.shape
    # Rows followed by L zeros, read as rows one shorter: each starts one position later.
    rows_CLM = pad(taps_C1L.expand(-1, L, -1), (0, L))
    return rows_CLM.flatten(1)[:, :-L].view(C, L, 2 * L - 1)[..., :L]


def _before(new_CBZS: Tensor, keep_CS: Tensor) -> Tensor:
    """The state before each chunk, from what each chunk adds and the fraction it keeps."""
    keep_C1S = keep_CS.unsqueeze(1)
    if pieces_pay(new_CBZS):
        before = [torch.zeros_like(new_CBZS[:, :, 0])]
        for new_CBS in new_CBZS.unbind(2)[:-1]:
            before.append(torch.addcmul(new_CBS, before[-1], keep_C1S))
        return torch.stack(before).permute(1, 2, 0, 3)
    before_CBZS, span, keep_C11S = pad(new_CBZS[:, :, :-1], (0, 0, 1, 0)), 1, keep_C1S.unsqueeze(1)
    while span < new_CBZS.shape[2]:  # each holds the sum of twice as many chunks as before
        earlier_CBZS = pad(before_CBZS[:, :, :-span], (0, 0, span, 0))
        before_CBZS = torch.addcmul(before_CBZS, earlier_CBZS, keep_C11S)
        span, keep_C11S = 2 * span, keep_C11S.square()
    return before_CBZS
