"""Linear attention a piece of the length at a time, so that features stay in a CPU's cache.

F features of a query or key, C tokens of a chunk, Z chunks, E = K + 1 columns of [v, 1]: one
product gives the numerator and, in its last column, the denominator.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.attention import Decodable

CHUNK = 64  # tokens whose products with each other are formed
CACHED = 2**19  # features at a time that stay in the caches of a CPU

Pieces = Sequence[Tensor]


@dataclass(frozen=True)
class Kernel:
    """Non-negative features in place of exp(q k): `width` of them a query or key."""

    query: Callable[[Tensor], Tensor]
    key: Callable[[Tensor], Tensor]
    width: int
    epsilon: float  # in the denominator


@dataclass(frozen=True)
class Sums:
    """What decoding keeps, however long the context: the sum of [v, 1]^T phi(k) so far."""

    sum_BHEF: Tensor

    @classmethod
    def start(cls, layer: "Decodable[Sums]", width: int, batch: int, context: int) -> "Sums":
        shape = (batch, layer.heads, layer.head_dim + 1, width)
        return cls(_wide(layer.blank(*shape, random=context > 0).abs() * context))

    def step(
        self, kernel: Kernel, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor
    ) -> tuple[Tensor, "Sums"]:
        q_BHxK, k_BHxK, v_BHxK = (_wide(x).unsqueeze(2) for x in (q_BHK, k_BHK, v_BHK))
        sum_BHEF = torch.addcmul(self.sum_BHEF, _with_one(v_BHxK).mT, kernel.key(k_BHxK))
        top_BHxE = kernel.query(q_BHxK) @ sum_BHEF.mT
        out_BHxK = top_BHxE[..., :-1] / (top_BHxE[..., -1:] + kernel.epsilon)
        return out_BHxK.squeeze(2).to(v_BHK.dtype), Sums(sum_BHEF)


def linear_attention(
    kernel: Kernel,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    real_BT: Tensor | None = None,
    *,
    causal: bool,
) -> Tensor:
    """phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1 + epsilon).

    The kernel sees one piece after another: on a CPU, features of the whole length cost more to
    write and read than to multiply. The causal form takes N (2 F K + C (F + K)) multiply-adds a
    head, and keeps N F K / C numbers of running sums at most.
    """
    if q_BHTK.dtype == torch.float16:  # too short a range for exponentials and long sums
        q_BHTK, k_BHTK, v_BHTK = q_BHTK.float(), k_BHTK.float(), v_BHTK.float()
        return linear_attention(kernel, q_BHTK, k_BHTK, v_BHTK, real_BT, causal=causal).half()
    tokens = _piece(q_BHTK, kernel.width, causal=causal)
    q, k, v = (torch.split(x, tokens, dim=2) for x in (q_BHTK, k_BHTK, v_BHTK))
    if causal:  # padding trails: no real query sees it
        sums = _causal(kernel, q, k, v)
    else:
        real = None if real_BT is None else torch.split(real_BT, tokens, dim=1)
        sums = _bidirectional(kernel, q, k, v, real)
    quotients = [x[..., :-1] / (x[..., -1:] + kernel.epsilon) for x in sums]
    return torch.cat(quotients, dim=2)


def _bidirectional(
    kernel: Kernel, q: Pieces, k: Pieces, v: Pieces, real: Pieces | None
) -> Iterator[Tensor]:
    state_BHEF = _nothing(v[0], kernel.width)
    for i, (k_BHTK, v_BHTK) in enumerate(zip(k, v, strict=True)):
        v_BHTE = _with_one(v_BHTK)
        if real is not None:  # phi(0) is not 0: the values have to go
            v_BHTE = v_BHTE * real[i][:, None, :, None]
        state_BHEF = state_BHEF + v_BHTE.mT @ kernel.key(k_BHTK)
    state_BHFE = state_BHEF.to(v[0].dtype).mT.contiguous()
    for q_BHTK in q:
        yield kernel.query(q_BHTK) @ state_BHFE


def _causal(kernel: Kernel, q: Pieces, k: Pieces, v: Pieces) -> Iterator[Tensor]:
    state_BHEF = _nothing(v[0], kernel.width)
    for q_BHTK, k_BHTK, v_BHTK in zip(q, k, v, strict=True):
        q_BHTF, k_BHTF = kernel.query(q_BHTK), kernel.key(k_BHTK)
        sums_BHTE, state_BHEF = _scan(q_BHTF, k_BHTF, _with_one(v_BHTK), state_BHEF)
        yield sums_BHTE


def _scan(
    q_BHTF: Tensor, k_BHTF: Tensor, v_BHTE: Tensor, state_BHEF: Tensor
) -> tuple[Tensor, Tensor]:
    """Row t holds q_t . (state + sum_{s<=t} k_s v_s); and the state after the last token.

    Within a chunk the masked C x C products are formed, between chunks the running sums.
    """
    T = q_BHTF.shape[2]
    q_BHZCF, k_BHZCF, v_BHZCE = (_chunks(x, min(CHUNK, T)) for x in (q_BHTF, k_BHTF, v_BHTE))
    before_BHZEF, state_BHEF = _running(state_BHEF, v_BHZCE.mT @ k_BHZCF)
    within_BHZCC = (q_BHZCF @ k_BHZCF.mT).tril_()
    sums_BHZCE = within_BHZCC @ v_BHZCE + q_BHZCF @ before_BHZEF.to(q_BHTF.dtype).mT
    return sums_BHZCE.flatten(2, 3)[:, :, :T], state_BHEF


def _running(state_BHEF: Tensor, sums_BHZEF: Tensor) -> tuple[Tensor, Tensor]:
    """The state before each chunk, and the state after the last."""
    if pieces_pay(state_BHEF):  # few chunks; and a CPU's cumsum is slow
        *before, state_BHEF = accumulate(sums_BHZEF.unbind(2), torch.add, initial=state_BHEF)
        return torch.stack(before, dim=2), state_BHEF
    steps_BHZEF = torch.cat([state_BHEF.unsqueeze(2), sums_BHZEF], dim=2).cumsum(2)
    return steps_BHZEF[:, :, :-1], steps_BHZEF[:, :, -1]


def _chunks(x_BHTF: Tensor, chunk: int) -> Tensor:
    B, H, T, F = x_BHTF.shape
    x_BHTF = pad(x_BHTF, (0, 0, 0, -T % chunk)) if T % chunk else x_BHTF
    return x_BHTF.reshape(B, H, -1, chunk, F)


def _with_one(v_BHTK: Tensor) -> Tensor:
    return pad(v_BHTK, (0, 1), value=1.0)


def _nothing(v_BHTK: Tensor, width: int) -> Tensor:
    B, H, _, K = v_BHTK.shape
    return _wide(v_BHTK.new_zeros(B, H, K + 1, width))


def _wide(sums: Tensor) -> Tensor:
    """In float32 at least: in bfloat16 a long sum stands still."""
    return sums.to(torch.promote_types(sums.dtype, torch.float32))


def pieces_pay(x: Tensor) -> bool:
    """Whether to work piece by piece: for a CPU's caches, but a compiled graph holds each piece."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _piece(x_BHTK: Tensor, width: int, *, causal: bool) -> int:
    """Tokens to work on at a time."""
    B, H, T, _ = x_BHTK.shape
    if not pieces_pay(x_BHTK):
        return T
    tokens = CACHED // (B * H * width)
    return max(CHUNK, tokens // 2 // CHUNK * CHUNK if causal else tokens)
