"""The delta rule: a token writes the difference between its value and what the state predicts.

S <- e^(g_t) S, then S <- S + k_t (v_t - r_t S)^T, and y_t = q_t S. The key r_t that is read is
beta_t k_t, with values of beta_t v_t, in DeltaNet and its successors (arXiv:2406.06484). A chunk is
solved as a whole: with A the products r_i k_j for i > j, each with its decay, the values written
are u = (I + A)^-1 (v - r S), the WY form. Only the state is passed from chunk to chunk.

The generalized rule of RWKV-7 (arXiv:2503.14456) has a separate key e to erase with, and reads
before the state decays: S_t = e^(g_t) S_(t-1) - e_t (r_t S_(t-1))^T + k_t v_t^T.

Letters as in `decay`.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.attention import repeat_kv
from effattn_cli.parts.chunked import between
from effattn_cli.parts.decay import (
    by_group,
    by_pieces,
    chunked,
    cumulated,
    decayed_products,
    left_of,
    read,
)
from effattn_cli.parts.operators import operator
from effattn_cli.parts.precision import wide
from effattn_cli.parts.triangular import inverse


@operator(2)
def delta_rule(
    q_BGTK: Tensor, k_BGTK: Tensor, v_BHTV: Tensor, beta_BHT: Tensor, decay_BHT: Tensor
) -> Tensor:
    """All y_t, (B, H, T, V), with one decay per head; heads share the products of a key head."""
    return by_pieces(_by_head, (q_BGTK, k_BGTK, v_BHTV), beta_BHT, decay_BHT)


def channel_delta_rule(
    q_BHTK: Tensor, r_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, decay_BHTK: Tensor
) -> Tensor:
    """All y_t, (B, H, T, V), with a decay per key channel."""
    return by_pieces(_by_channel, (q_BHTK, r_BHTK, k_BHTK, v_BHTV), decay_BHTK)


@operator(2)
def step_sized_delta_rule(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, beta_BHT: Tensor, decay_BHTK: Tensor
) -> Tensor:
    """The same with a step size per token, as in KDA."""
    beta_BHT1 = beta_BHT.unsqueeze(-1)
    return channel_delta_rule(q_BHTK, k_BHTK * beta_BHT1, k_BHTK, v_BHTV * beta_BHT1, decay_BHTK)


def generalized_delta_rule(
    q_BHTK: Tensor,
    r_BHTK: Tensor,
    e_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    decay_BHTK: Tensor,
) -> Tensor:
    """All y_t, (B, H, T, V), with one key to erase with and one to write with."""
    return by_pieces(_by_two_keys, (q_BHTK, r_BHTK, e_BHTK, k_BHTK, v_BHTV), decay_BHTK)


def delta_step(
    q_BHK: Tensor, r_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, decay: Tensor, state_BHKV: Tensor
) -> tuple[Tensor, Tensor]:
    """One token; `decay` is (B, H), or (B, H, K)."""
    q_BHK, r_BHK, k_BHK, new_BHV = (wide(x) for x in (q_BHK, r_BHK, k_BHK, v_BHV))
    state_BHKV = left_of(decay) * state_BHKV
    new_BHV = new_BHV - read(r_BHK, state_BHKV)
    state_BHKV = torch.addcmul(state_BHKV, k_BHK.unsqueeze(-1), new_BHV.unsqueeze(-2))
    return read(q_BHK, state_BHKV).to(v_BHV.dtype), state_BHKV


@operator(2, 5)
def step_sized_delta_step(
    q_BHK: Tensor,
    k_BHK: Tensor,
    v_BHV: Tensor,
    beta_BH: Tensor,
    decay: Tensor,
    state_BHKV: Tensor,
) -> tuple[Tensor, Tensor]:
    """The same with a step size: one token of DeltaNet, Gated DeltaNet, KDA."""
    beta_BH1 = beta_BH.unsqueeze(-1)
    return delta_step(q_BHK, k_BHK * beta_BH1, k_BHK, v_BHV * beta_BH1, decay, state_BHKV)


def generalized_delta_step(
    q_BHK: Tensor,
    r_BHK: Tensor,
    e_BHK: Tensor,
    k_BHK: Tensor,
    v_BHV: Tensor,
    decay_BHK: Tensor,
    state_BHKV: Tensor,
) -> tuple[Tensor, Tensor]:
    """One token."""
    q_BHK, r_BHK, e_BHK, k_BHK, new_BHV = (wide(x) for x in (q_BHK, r_BHK, e_BHK, k_BHK, v_BHV))
    known_BHV = read(r_BHK, state_BHKV)
    state_BHKV = state_BHKV * wide(decay_BHK).exp().unsqueeze(-1)
    state_BHKV.addcmul_(e_BHK.unsqueeze(-1), known_BHV.unsqueeze(-2), value=-1)
    state_BHKV = torch.addcmul(state_BHKV, k_BHK.unsqueeze(-1), new_BHV.unsqueeze(-2))
    return read(q_BHK, state_BHKV).to(v_BHV.dtype), state_BHKV


def unit(x_BHTK: Tensor) -> Tensor:
    """Divided by its length, computed in float32 with a small epsilon."""
    wide_BHTK = wide(x_BHTK)
    square_BHT1 = wide_BHTK.square().sum(-1, keepdim=True)
    return (wide_BHTK * (square_BHT1 + 1e-6).rsqrt()).to(x_BHTK.dtype)


def _by_head(
    state: Tensor | None,
    q_BGTK: Tensor,
    k_BGTK: Tensor,
    v_BHTV: Tensor,
    beta_BHT: Tensor,
    decay_BHT: Tensor,
) -> tuple[Tensor, Tensor]:
    (G, H), dtype = (q_BGTK.shape[1], v_BHTV.shape[1]), q_BGTK.dtype
    q_BGZCK, k_BGZCK, v_BHZCV = chunked(q_BGTK), chunked(k_BGTK), chunked(v_BHTV)
    beta_BHZC1, fade_BHZC = chunked(beta_BHT).unsqueeze(-1), cumulated(decay_BHT)
    left_BHZCC = between(fade_BHZC)
    grown_BHZC1, last_BHZ11 = fade_BHZC.exp2().unsqueeze(-1), fade_BHZC[..., -1:, None]
    scores_BGxZCC, known_BGxZCC = ((x @ k_BGZCK.mT).unsqueeze(2) for x in (q_BGZCK, k_BGZCK))
    weights_BHZCC = (scores_BGxZCC * by_group(left_BHZCC, G).to(dtype)).flatten(1, 2)
    A_BHZCC = (wide(known_BGxZCC) * by_group(left_BHZCC * beta_BHZC1, G)).flatten(1, 2)
    q_BHZCK, k_BHZCK = repeat_kv(q_BGZCK, H), repeat_kv(k_BGZCK, H)
    return _through(
        q_BHZCK * grown_BHZC1.to(dtype),
        weights_BHZCC,
        A_BHZCC,
        k_BHZCK * (beta_BHZC1 * grown_BHZC1).to(dtype),
        v_BHZCV * beta_BHZC1.to(dtype),
        k_BHZCK * (last_BHZ11 - fade_BHZC.unsqueeze(-1)).exp2().to(dtype),
        last_BHZ11.exp2(),
        state,
    )


def _by_channel(
    state: Tensor | None,
    q_BHTK: Tensor,
    r_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    decay_BHTK: Tensor,
) -> tuple[Tensor, Tensor]:
    dtype = q_BHTK.dtype
    q_BHZCK, r_BHZCK, k_BHZCK = chunked(q_BHTK), chunked(r_BHTK), chunked(k_BHTK)
    fade_BHZCK = cumulated(decay_BHTK)
    grown_BHZCK, last_BHZ1K = fade_BHZCK.exp2().to(dtype), fade_BHZCK[:, :, :, -1:]
    rows_MBHZCK = torch.stack([q_BHZCK, r_BHZCK])
    weights_BHZCC, A_BHZCC = decayed_products(rows_MBHZCK, k_BHZCK, fade_BHZCK)
    return _through(
        q_BHZCK * grown_BHZCK,
        weights_BHZCC,
        wide(A_BHZCC),
        r_BHZCK * grown_BHZCK,
        chunked(v_BHTV),
        k_BHZCK * (last_BHZ1K - fade_BHZCK).exp2().to(dtype),
        last_BHZ1K.exp2().mT,
        state,
    )


def _by_two_keys(
    state: Tensor | None,
    q_BHTK: Tensor,
    r_BHTK: Tensor,
    e_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    decay_BHTK: Tensor,
) -> tuple[Tensor, Tensor]:
    """Tokens read the state as of the previous token, so their rows of products are shifted."""
    dtype = q_BHTK.dtype
    q_BHZCK, r_BHZCK, v_BHZCV = chunked(q_BHTK), chunked(r_BHTK), chunked(v_BHTV)
    fade_BHZCK = cumulated(decay_BHTK)
    grown_BHZCK, last_BHZ1K = fade_BHZCK.exp2().to(dtype), fade_BHZCK[:, :, :, -1:]
    before_BHZCK = pad(grown_BHZCK[:, :, :, :-1], (0, 0, 1, 0), value=1.0)
    keys_LBHZCK = torch.stack([chunked(e_BHTK), chunked(k_BHTK)])
    next_BHZCK = pad(r_BHZCK[:, :, :, 1:], (0, 0, 0, 1))
    rows_MxBHZCK = torch.stack([q_BHZCK, next_BHZCK]).unsqueeze(1)
    seen_LBHZCC, next_LBHZCC = decayed_products(rows_MxBHZCK, keys_LBHZCK, fade_BHZCK)
    A_BHZCC, known_BHZCC = pad(next_LBHZCC[..., :-1, :], (0, 0, 1, 0))
    left_LBHZCK = keys_LBHZCK * (last_BHZ1K - fade_BHZCK).exp2().to(dtype)
    y_BHTV, state = _through(
        q_BHZCK * grown_BHZCK,
        seen_LBHZCC[0],
        wide(A_BHZCC),
        r_BHZCK * before_BHZCK,
        -(known_BHZCC @ v_BHZCV),
        left_LBHZCK[0],
        last_BHZ1K.exp2().mT,
        state,
        wide(left_LBHZCK[1].mT @ v_BHZCV),
    )
    return y_BHTV + (seen_LBHZCC[1] @ v_BHZCV).flatten(2, 3), state


def _through(
    q_BHZCK: Tensor,
    weights_BHZCC: Tensor,
    A_BHZCC: Tensor,
    r_BHZCK: Tensor,
    v_BHZCV: Tensor,
    k_BHZCK: Tensor,
    left_BHZ: Tensor,
    state: Tensor | None,
    more_BHZKV: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Goes chunk by chunk. What is read has decayed since the start of the chunk, what is written
    will have decayed by its end; `more_BHZKV` is written in addition, if given.
    """
    dtype, (B, H, _, _, K), V = v_BHZCV.dtype, q_BHZCK.shape, v_BHZCV.shape[-1]
    solved_BHZCC = inverse(A_BHZCC).to(dtype)
    both_BHZCE = solved_BHZCC @ torch.cat([v_BHZCV, r_BHZCK], dim=-1)
    v_XZCV, r_XZCK = both_BHZCE.flatten(0, 1).split([V, K], dim=-1)
    left_XZ, k_XZCK = left_BHZ.flatten(0, 1), k_BHZCK.flatten(0, 1)
    now_XKV = wide(v_XZCV.new_zeros(B * H, K, V)) if state is None else state
    before, new = [], []
    for v_XCV, r_XCK, k_XCK, left_X in zip(
        *(x.unbind(1) for x in (v_XZCV, r_XZCK, k_XZCK, left_XZ)), strict=True
    ):
        before.append(now_XKV.to(dtype))
        new.append(torch.baddbmm(v_XCV, r_XCK, before[-1], alpha=-1))
        sum_XKV = wide(k_XCK.mT @ new[-1])
        if more_BHZKV is not None:
            sum_XKV = sum_XKV + more_BHZKV[:, :, len(new) - 1].flatten(0, 1)
        now_XKV = torch.addcmul(sum_XKV, now_XKV, left_X)
    before_BHZKV = torch.stack(before, dim=1).unflatten(0, (B, H))
    new_BHZCV = torch.stack(new, dim=1).unflatten(0, (B, H))
    y_BHZCV = weights_BHZCC @ new_BHZCV + q_BHZCK @ before_BHZKV
    return y_BHZCV.flatten(2, 3), now_XKV
