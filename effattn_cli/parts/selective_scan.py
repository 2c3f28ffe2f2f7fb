"""The selective state space of Mamba (arXiv:2312.00752): N decaying state values per channel.

h_t = e^(dt_t A) h_(t-1) + dt_t x_t B_t and y_t = C_t h_t, with dt per channel, and B and C shared
by all channels. States of all tokens are never stored: one piece of the length is processed at a
time, and the backward pass recomputes its states from the one before it.

D channels, Z pieces, C tokens of a piece, N values of a state.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from effattn_cli.parts.chunked import CACHED, LOG2E, pieces_pay
from effattn_cli.parts.precision import wide
from effattn_cli.parts.scan import scan_, scan_back_

AT_ONCE = 2**25  # state elements per piece, on devices without cache limits


def selective_scan(
    x_BTD: Tensor, dt_BTD: Tensor, A_ND: Tensor, B_BTN: Tensor, C_BTN: Tensor
) -> Tensor:
    """All y_t, (B, T, D), from an empty state; A is negative."""
    given = (x_BTD, dt_BTD, A_ND * LOG2E, B_BTN, C_BTN)
    if torch.is_grad_enabled() and any(x.requires_grad for x in given):
        made: Any = _SelectiveScan.apply
        return made(*given)
    return _selected(*given)[0]


def selective_step(
    x_BD: Tensor, dt_BD: Tensor, A_ND: Tensor, B_BN: Tensor, C_BN: Tensor, state_BND: Tensor
) -> tuple[Tensor, Tensor]:
    """One token."""
    dtype = x_BD.dtype
    x_BD, dt_BD, B_BN, C_BN = (wide(x) for x in (x_BD, dt_BD, B_BN, C_BN))
    left_BND = (dt_BD.unsqueeze(1) * A_ND).exp()
    new_BxD = (dt_BD * x_BD).unsqueeze(1)
    state_BND = torch.addcmul(left_BND * state_BND, B_BN.unsqueeze(2), new_BxD)
    return (C_BN.unsqueeze(1) @ state_BND).squeeze(1).to(dtype), state_BND


class _SelectiveScan(torch.autograd.Function):
    """Saves its inputs and the state before each piece."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        y_BTD, before = _selected(*given)
        ctx.save_for_backward(*given, *before)
        return y_BTD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x_BTD, dt_BTD, rate_ND, B_BTN, C_BTN, *before = ctx.saved_tensors
        of_rate_ND, after_BND = torch.zeros_like(rate_ND), torch.zeros_like(before[0])
        pieces = _pieces(rate_ND, x_BTD, dt_BTD, B_BTN, C_BTN, grads[0])
        of_pieces: list[tuple[Tensor, ...]] = []
        for piece, state_BND in zip(reversed(pieces), reversed(before), strict=True):
            *of_inputs, more_ND, after_BND = _back(piece, rate_ND, state_BND, after_BND)
            of_rate_ND += more_ND
            of_pieces.append(tuple(of_inputs))
        x, dt, B, C = (
            torch.cat(parts, dim=1).to(like.dtype)
            for parts, like in zip(
                zip(*reversed(of_pieces), strict=True), (x_BTD, dt_BTD, B_BTN, C_BTN), strict=True
            )
        )
        return x, dt, of_rate_ND, B, C


def _selected(
    x_BTD: Tensor, dt_BTD: Tensor, rate_ND: Tensor, B_BTN: Tensor, C_BTN: Tensor
) -> tuple[Tensor, Sequence[Tensor]]:
    """The result, and the state before each piece."""
    state_BND = wide(x_BTD.new_zeros(x_BTD.shape[0], *rate_ND.shape))
    outs, before = [], []
    for x_BCD, dt_BCD, B_BCN, C_BCN in _pieces(rate_ND, x_BTD, dt_BTD, B_BTN, C_BTN):
        before.append(state_BND)
        h_BCND, _ = _states(x_BCD, dt_BCD, rate_ND, B_BCN, state_BND)
        outs.append((C_BCN.unsqueeze(2) @ h_BCND).squeeze(2).to(x_BTD.dtype))
        state_BND = h_BCND[:, -1].clone()
        del h_BCND  # freed before the next piece, so that both can use the same cache
    return torch.cat(outs, dim=1), before


def _pieces(rate_ND: Tensor, *inputs: Tensor) -> list[tuple[Tensor, ...]]:
    numbers = inputs[0].shape[0] * rate_ND.numel()
    at_once = CACHED if pieces_pay(inputs[0]) else AT_ONCE
    tokens = max(16, at_once // numbers)
    parts = zip(*(torch.split(x, tokens, dim=1) for x in inputs), strict=True)
    return [tuple(wide(x) for x in piece) for piece in parts]


def _states(
    x_BCD: Tensor, dt_BCD: Tensor, rate_ND: Tensor, B_BCN: Tensor, state_BND: Tensor
) -> tuple[Tensor, Tensor]:
    """All h_t of a piece, (B, C, N, D), and the fraction of each state that remains at the next."""
    left_BCND = (dt_BCD.unsqueeze(2) * rate_ND).exp2_()
    h_BCND = (dt_BCD * x_BCD).unsqueeze(2) * B_BCN.unsqueeze(3)
    h_BCND[:, 0].addcmul_(left_BCND[:, 0], state_BND)
    scan_(h_BCND, left_BCND[:, 1:])
    return h_BCND, left_BCND


def _back(
    piece: tuple[Tensor, ...], rate_ND: Tensor, state_BND: Tensor, after_BND: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of x, dt, B, C and the rates, and of the state before the piece."""
    x_BCD, dt_BCD, B_BCN, C_BCN, grad_BCD = piece
    h_BCND, left_BCND = _states(x_BCD, dt_BCD, rate_ND, B_BCN, state_BND)
    of_C = (h_BCND @ grad_BCD.unsqueeze(3)).squeeze(3)
    of_h = grad_BCD.unsqueeze(2) * C_BCN.unsqueeze(3)
    of_h[:, -1] += after_BND
    scan_back_(of_h, left_BCND[:, 1:])
    of_state = of_h[:, 0] * left_BCND[:, 0]
    of_B = (of_h @ (dt_BCD * x_BCD).unsqueeze(3)).squeeze(3)
    of_new = (B_BCN.unsqueeze(2) @ of_h).squeeze(2)
    of_exponent = of_h.mul_(left_BCND)
    of_exponent[:, 1:] *= h_BCND[:, :-1]
    of_exponent[:, 0] *= state_BND
    of_dt = (of_exponent * rate_ND).sum(2) * math.log(2)
    of_rate = of_exponent.mul_(dt_BCD.unsqueeze(2)).sum((0, 1)) * math.log(2)
    return of_new * dt_BCD, torch.addcmul(of_dt, of_new, x_BCD), of_B, of_C, of_rate, of_state
