"""Linear attention, a piece of the length at a time.

F features of a query or key, C tokens of a chunk, Z chunks, E = K + 1 columns of [v, 1]: one
product gives the numerator and, in its last column, the denominator.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 64  # tokens whose products with each other are formed
CACHED = 2**17  # features at a time that stay in the caches of a CPU

Features = Callable[[Tensor], Tensor]


def linear_attention(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    real_BT: Tensor | None = None,
    *,
    query: Features,
    key: Features,
    width: int,
    causal: bool,
    epsilon: float,
) -> Tensor:
    """phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1 + epsilon) for non-negative features.

    `query` and `key` make `width` features a token, of one piece after another: on a CPU, features
    of the whole length would cost more to write and read than the products that use them. Causal,
    there are N (2 F K + C (F + K)) multiply-adds a head, and no state a token.
    """
    if q_BHTK.dtype == torch.float16:  # too short a range for exponentials and long sums
        wide = (x.float() for x in (q_BHTK, k_BHTK, v_BHTK))
        return linear_attention(
            *wide, real_BT, query=query, key=key, width=width, causal=causal, epsilon=epsilon
        ).half()
    tokens = _piece(q_BHTK, width)
    q_, k_, v_ = (x.split(tokens, dim=2) for x in (q_BHTK, k_BHTK, v_BHTK))
    state_BHEF = _zeros(k_BHTK, v_BHTK.shape[-1] + 1, width)
    if causal:  # padding trails: a real query never sees it
        sums = _causal(q_, k_, v_, state_BHEF, query, key)
    else:
        real = [None] * len(k_) if real_BT is None else real_BT.split(tokens, dim=1)
        for k, v, r in zip(k_, v_, real, strict=True):
            state_BHEF = state_BHEF + _with_one(v, r).mT @ key(k)
        sums = (query(q) @ state_BHEF.to(q.dtype).mT for q in q_)
    return torch.cat([x[..., :-1] / (x[..., -1:] + epsilon) for x in sums], dim=2)


def _causal(
    q_: Sequence[Tensor],
    k_: Sequence[Tensor],
    v_: Sequence[Tensor],
    state_BHEF: Tensor,
    query: Features,
    key: Features,
) -> Iterator[Tensor]:
    for q, k, v in zip(q_, k_, v_, strict=True):
        sums_BHTE, state_BHEF = _scan(query(q), key(k), _with_one(v), state_BHEF)
        yield sums_BHTE


def _scan(
    q_BHTF: Tensor, k_BHTF: Tensor, v_BHTE: Tensor, state_BHEF: Tensor
) -> tuple[Tensor, Tensor]:
    """Row t holds q_t . (state + sum_{s<=t} k_s v_s); and the state after the last token.

    Within a chunk the masked C x C products are formed, between chunks the running sums.
    """
    T = q_BHTF.shape[2]
    q_BHZCF, k_BHZCF, v_BHZCE = (_chunks(x, min(CHUNK, T)) for x in (q_BHTF, k_BHTF, v_BHTE))
    steps_BHZEF = torch.cat([state_BHEF.unsqueeze(2), v_BHZCE.mT @ k_BHZCF], dim=2).cumsum(2)
    before_BHZEF = steps_BHZEF[:, :, :-1].to(q_BHTF.dtype)
    within_BHZCC = (q_BHZCF @ k_BHZCF.mT).tril_()
    sums_BHZCE = within_BHZCC @ v_BHZCE + q_BHZCF @ before_BHZEF.mT
    return sums_BHZCE.flatten(2, 3)[:, :, :T], steps_BHZEF[:, :, -1]


def _chunks(x_BHTF: Tensor, chunk: int) -> Tensor:
    B, H, T, F = x_BHTF.shape
    x_BHTF = pad(x_BHTF, (0, 0, 0, -T % chunk)) if T % chunk else x_BHTF
    return x_BHTF.reshape(B, H, -1, chunk, F)


def _with_one(v_BHTK: Tensor, real_BT: Tensor | None = None) -> Tensor:
    v_BHTE = pad(v_BHTK, (0, 1), value=1.0)
    return v_BHTE if real_BT is None else v_BHTE * real_BT[:, None, :, None]


def _zeros(x_BHTK: Tensor, *shape: int) -> Tensor:
    """Room for sums over the length, in float32 at least: a long sum in bfloat16 stands still."""
    dtype = torch.promote_types(x_BHTK.dtype, torch.float32)
    return x_BHTK.new_zeros(*x_BHTK.shape[:2], *shape, dtype=dtype)


def _piece(x_BHTK: Tensor, width: int) -> int:
    """Tokens to work on at a time: all of them where no small cache or compiler calls for less."""
    B, H, T, _ = x_BHTK.shape
    if x_BHTK.device.type != "cpu" or torch.compiler.is_compiling():
        return T
    return max(CHUNK, CACHED // (B * H * width) // CHUNK * CHUNK)
