"""Linear attention one piece of the length at a time, so that features fit in a CPU's caches.

F features of a query or key, C tokens of a chunk, Z chunks, E = K + 1 columns of [v, 1]: one
product gives the numerator and, in its last column, the denominator.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from effattn_cli.attention import Decodable, merge_heads
from effattn_cli.attention.target import device_type
from effattn_cli.parts.precision import wide

LOG2E = math.log2(math.e)  # exp2 is three times as fast as exp on a CPU
CHUNK = 64  # tokens of a chunk, within which all products are computed
CACHED = 2**19  # features per piece, so that they fit in a CPU's caches

Pieces = Sequence[Tensor]


@dataclass(frozen=True)
class Sums:
    """Decoding state, independent of the context length: the sum of [v, 1]^T phi(k) so far."""

    sum_BHEF: Tensor
    length: int = 0  # tokens so far, if features depend on a token's position


class DecodableKernel(Decodable[Sums]):
    """A variant in which products of features of q and k replace exp(q k).

    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1): a variant defines its card and its features.
    """

    horizon = 2 * CHUNK  # all steps do the same work; the forward pass goes by chunks
    width: int  # features of a query or key
    epsilon: ClassVar[float] = 1e-30  # added to the denominator
    #: Where features can be negative: a lower bound on what one token with exact features adds to
    #: the denominator, which is clamped to it.
    floor: float = 0.0
    #: Whether features depend on a token's position; variants then define `query_at` and `key_at`.
    positional: ClassVar[bool] = False

    def __init__(self, config: Decodable.Config) -> None:
        super().__init__(config)
        #: Maps a token's keys to the logits of g, one per head: the token turns the sums into
        #: g sums + (1 - g) its own. Without a gate they only grow.
        self.gate: nn.Module | None = None

    def query(self, q_BHTK: Tensor) -> Tensor:
        """The features of queries, (B, H, T, F)."""
        raise NotImplementedError

    def key(self, k_BHTK: Tensor) -> Tensor:
        """The features of keys, (B, H, T, F)."""
        raise NotImplementedError

    def query_at(self, q_BHTK: Tensor, first: int) -> Tensor:  # noqa: ARG002
        """The features of queries, the first of which is at position `first`."""
        return self.query(q_BHTK)

    def key_at(self, k_BHTK: Tensor, first: int) -> Tensor:  # noqa: ARG002
        """The features of keys, the first of which is at position `first`."""
        return self.key(k_BHTK)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        """Processes one piece after another.

        On a CPU, writing and reading features of the whole length costs more than the products. The
        causal form takes N (2 F K + C (F + K)) multiply-adds per head, and stores at most N F K / C
        elements of running sums.
        """
        if q_BHTK.dtype == torch.float16:  # its range is too small for exponentials and long sums
            return self.attend(q_BHTK.float(), k_BHTK.float(), v_BHTK.float(), valid_BT).half()
        tokens = _piece(q_BHTK, self.width, causal=self.causal)
        q, k, v = (torch.split(x, tokens, dim=2) for x in (q_BHTK, k_BHTK, v_BHTK))
        if self.causal:  # right padding: no real query sees it
            return torch.cat(list(_causal(self, q, k, v)), dim=2)
        valid = None if valid_BT is None else torch.split(valid_BT, tokens, dim=1)
        return torch.cat(list(_bidirectional(self, q, k, v, valid)), dim=2)

    def init_state(self, batch: int, context: int) -> Sums:
        shape = (batch, self.heads, self.head_dim + 1, self.width)
        sum_BHEF = wide(self.blank(*shape, random=context > 0)).abs() * context
        return Sums(sum_BHEF, context if self.positional else 0)

    def step(self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Sums) -> tuple[Tensor, Sums]:
        q_BHxK, k_BHxK, v_BHxK = (wide(x).unsqueeze(2) for x in (q_BHK, k_BHK, v_BHK))
        v_BHxE, sum_BHEF, gate_BHx1 = _with_one(v_BHxK), state.sum_BHEF, _gate(self, k_BHxK)
        if gate_BHx1 is not None:
            v_BHxE = v_BHxE * torch.sigmoid(-gate_BHx1)
            sum_BHEF = sum_BHEF * torch.sigmoid(gate_BHx1)
        sum_BHEF = torch.addcmul(sum_BHEF, v_BHxE.mT, self.key_at(k_BHxK, state.length))
        q_BHxF = self.query_at(q_BHxK, state.length)
        out_BHxK = _quotient(self, q_BHxF @ sum_BHEF.mT, gate_BHx1)
        length = state.length + 1 if self.positional else 0
        return out_BHxK.squeeze(2).to(v_BHK.dtype), Sums(sum_BHEF, length)


def _bidirectional(
    layer: DecodableKernel, q: Pieces, k: Pieces, v: Pieces, valid: Pieces | None
) -> Iterator[Tensor]:
    state_BHEF, piece = _nothing(v[0], layer.width), v[0].shape[2]
    for i, (k_BHTK, v_BHTK) in enumerate(zip(k, v, strict=True)):
        v_BHTE = _with_one(v_BHTK)
        if valid is not None:  # phi(0) is not 0: padded values have to be zeroed
            v_BHTE = v_BHTE * valid[i][:, None, :, None]
        state_BHEF = state_BHEF + v_BHTE.mT @ layer.key_at(k_BHTK, i * piece)
    state_BHFE = state_BHEF.to(v[0].dtype).mT.contiguous()
    for i, q_BHTK in enumerate(q):
        yield _quotient(layer, layer.query_at(q_BHTK, i * piece) @ state_BHFE)


def _causal(layer: DecodableKernel, q: Pieces, k: Pieces, v: Pieces) -> Iterator[Tensor]:
    state_BHEF, piece = _nothing(v[0], layer.width), v[0].shape[2]
    for i, (q_BHTK, k_BHTK, v_BHTK) in enumerate(zip(q, k, v, strict=True)):
        q_BHTF, k_BHTF = layer.query_at(q_BHTK, i * piece), layer.key_at(k_BHTK, i * piece)
        v_BHTE = _with_one(v_BHTK)
        gate_BHT1 = _gate(layer, k_BHTK)
        if gate_BHT1 is not None:
            v_BHTE = v_BHTE * torch.sigmoid(-gate_BHT1)
        sums_BHTE, state_BHEF = _scan(q_BHTF, k_BHTF, v_BHTE, state_BHEF, gate_BHT1)
        yield _quotient(layer, sums_BHTE, gate_BHT1)


def _gate(layer: DecodableKernel, k_BHTK: Tensor) -> Tensor | None:
    if layer.gate is None:
        return None
    return layer.gate(merge_heads(k_BHTK.to(layer.like.dtype))).mT[..., None]


def _quotient(layer: DecodableKernel, sums_BHTE: Tensor, gate_BHT1: Tensor | None = None) -> Tensor:
    bottom_BHT1 = sums_BHTE[..., -1:] + layer.epsilon
    if layer.floor:
        own_BHT1 = torch.ones_like(bottom_BHT1)
        if gate_BHT1 is not None:
            own_BHT1 = torch.sigmoid(-gate_BHT1).to(bottom_BHT1.dtype)
        bottom_BHT1 = torch.maximum(bottom_BHT1, layer.floor * own_BHT1)
    return sums_BHTE[..., :-1] / bottom_BHT1


def _scan(
    q_BHTF: Tensor, k_BHTF: Tensor, v_BHTE: Tensor, state_BHEF: Tensor, gate_BHT1: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Row t holds q_t . state_t, where state_t = g_t state_{t-1} + k_t v_t; and the last state.

    Within a chunk the masked C x C products are computed, between chunks the running sums. Without
    a gate, g is 1.
    """
    T = q_BHTF.shape[2]
    chunk = min(CHUNK, T)
    q_BHZCF, k_BHZCF, v_BHZCE = (_chunks(x, chunk) for x in (q_BHTF, k_BHTF, v_BHTE))
    within_BHZCC, new_BHZCE, left_BHZ11 = q_BHZCF @ k_BHZCF.mT, v_BHZCE, None
    if gate_BHT1 is None:
        within_BHZCC = within_BHZCC.tril_()
    else:
        dtype = q_BHTF.dtype
        fade_BHZC1 = _chunks(logsigmoid(wide(gate_BHT1)) * LOG2E, chunk).cumsum(3)
        last_BHZ11 = fade_BHZC1[:, :, :, -1:]
        within_BHZCC = within_BHZCC * between(fade_BHZC1.squeeze(-1)).to(dtype)
        q_BHZCF = q_BHZCF * fade_BHZC1.exp2().to(dtype)
        new_BHZCE = v_BHZCE * (last_BHZ11 - fade_BHZC1).exp2().to(dtype)
        left_BHZ11 = last_BHZ11.exp2()
    before_BHZEF, state_BHEF = running(state_BHEF, new_BHZCE.mT @ k_BHZCF, left_BHZ11)
    sums_BHZCE = within_BHZCC @ v_BHZCE + q_BHZCF @ before_BHZEF.to(q_BHTF.dtype).mT
    return sums_BHZCE.flatten(2, 3)[:, :, :T], state_BHEF


def between(fade_BHZC: Tensor) -> Tensor:
    """What remains of token j at token i of its chunk, (B, H, Z, C, C); 0 where j > i.

    The cumulative decays are exponents of 2.
    """
    C = fade_BHZC.shape[-1]
    later_CC = torch.ones(C, C, dtype=torch.bool, device=fade_BHZC.device).triu_(1)
    away_BHZCC = fade_BHZC.unsqueeze(-1) - fade_BHZC.unsqueeze(-2)
    # Masked before the exponential, which can overflow above the diagonal.
    return away_BHZCC.masked_fill_(later_CC, -torch.inf).exp2()


def running(
    state: Tensor | None, sums: Tensor, left: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The state before each chunk, (B, H, Z, ...) like the chunks' sums, and after the last.

    `left` is the fraction of the state that remains after a chunk; by default all of it.
    """
    now = torch.zeros_like(sums[:, :, 0]) if state is None else state
    if left is None and not pieces_pay(now):  # a CPU's cumsum is slow, and chunks are few
        steps = torch.cat([now.unsqueeze(2), sums], dim=2).cumsum(2)
        return steps[:, :, :-1], steps[:, :, -1]
    lefts: Sequence[Tensor | None] = [None] * sums.shape[2] if left is None else left.unbind(2)
    before = []
    for sum_, left_ in zip(sums.unbind(2), lefts, strict=True):
        before.append(now)
        now = sum_ + now if left_ is None else torch.addcmul(sum_, now, left_)
    return torch.stack(before, dim=2), now


def _chunks(x_BHTF: Tensor, chunk: int) -> Tensor:
    B, H, T, F = x_BHTF.shape
    x_BHTF = pad(x_BHTF, (0, 0, 0, -T % chunk)) if T % chunk else x_BHTF
    return x_BHTF.reshape(B, H, -1, chunk, F)


def _with_one(v_BHTK: Tensor) -> Tensor:
    return pad(v_BHTK, (0, 1), value=1.0)


def _nothing(v_BHTK: Tensor, width: int) -> Tensor:
    B, H, _, K = v_BHTK.shape
    return wide(v_BHTK.new_zeros(B, H, K + 1, width))


def pieces_pay(x: Tensor) -> bool:
    """Whether to work in pieces: they fit a CPU's caches, but compiled graphs unroll them."""
    return not torch.compiler.is_compiling() and device_type(x) == "cpu"


def _piece(x_BHTK: Tensor, width: int, *, causal: bool) -> int:
    """Tokens to process at a time."""
    B, H, T, _ = x_BHTK.shape
    if not pieces_pay(x_BHTK):
        return T
    tokens = CACHED // (B * H * width)
    return max(CHUNK, tokens // 2 // CHUNK * CHUNK if causal else tokens)
