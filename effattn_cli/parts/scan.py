"""Scalar linear recurrences, h_t = a_t h_(t-1) + x_t, of all tokens at once (parallel scan).

Pairs of tokens are combined, then pairs of pairs, and so on: 3 multiply-adds per element, in
2 log T steps. Decays are multiplied and never divided by, so that it is as exact as sequential
evaluation, however strong they are.

The token axis is the second: (B, T, ...).
"""

from typing import Any

import torch
from torch import Tensor


def scan(a_BTy: Tensor, x_BTy: Tensor, before_By: Tensor) -> Tensor:
    """All h_t; `before_By` is the one before the first."""
    if torch.is_grad_enabled() and any(x.requires_grad for x in (a_BTy, x_BTy, before_By)):
        made: Any = _Scan.apply
        return made(a_BTy, x_BTy, before_By)
    return _scanned(a_BTy, x_BTy, before_By)


def scan_(h_BTy: Tensor, links_BTy: Tensor) -> None:
    """In place; `links_BTy` holds the fraction of token t that remains at token t + 1."""
    T = h_BTy.shape[1]
    if T == 1:
        return
    first, second, pairs = h_BTy[:, ::2], h_BTy[:, 1::2], T // 2
    inner, outer = links_BTy[:, ::2], links_BTy[:, 1::2]
    second.addcmul_(inner, first[:, :pairs])
    if pairs > 1:
        scan_(second, outer[:, : pairs - 1] * inner[:, 1:])
    first[:, 1:].addcmul_(outer, second[:, : first.shape[1] - 1])


def scan_back_(h_BTy: Tensor, links_BTy: Tensor) -> None:
    """The same from the last token to the first."""
    T = h_BTy.shape[1]
    if T == 1:
        return
    odd, pairs = T % 2, T // 2
    first, second = h_BTy[:, odd::2], h_BTy[:, odd + 1 :: 2]
    inner, outer = links_BTy[:, odd::2], links_BTy[:, odd + 1 :: 2]
    first.addcmul_(inner, second)
    if pairs > 1:
        scan_back_(first, inner[:, :-1] * outer)
    second[:, :-1].addcmul_(outer, first[:, 1:])
    if odd:
        h_BTy[:, 0].addcmul_(links_BTy[:, 0], h_BTy[:, 1])


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a_BTy: Tensor, x_BTy: Tensor, before_By: Tensor) -> Tensor:
        h_BTy = _scanned(a_BTy, x_BTy, before_By)
        ctx.save_for_backward(a_BTy, h_BTy, before_By)
        return h_BTy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a_BTy, h_BTy, before_By = ctx.saved_tensors
        of_x = grads[0].clone()
        scan_back_(of_x, a_BTy[:, 1:])
        earlier_BTy = torch.cat([before_By.unsqueeze(1), h_BTy[:, :-1]], dim=1)
        return of_x * earlier_BTy, of_x, of_x[:, 0] * a_BTy[:, 0]


def _scanned(a_BTy: Tensor, x_BTy: Tensor, before_By: Tensor) -> Tensor:
    h_BTy = x_BTy.clone()
    h_BTy[:, 0].addcmul_(a_BTy[:, 0], before_By)
    scan_(h_BTy, a_BTy[:, 1:])
    return h_BTy
