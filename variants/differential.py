"""Differential Transformer: the difference of two softmax attentions."""

import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, rms_norm, scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, Input, Unsupported, repeat_kv
from effattn_cli.attention.inputs import QKV
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rotary import Rotary


@final
class Differential(Rotary, Decodable[Cache]):
    """Subtracts a second softmax from the first, so that the noise common to both cancels out.

    Version 1 pairs heads: out = (1 - l) RMSNorm((A_1 - lambda A_2) [v_1, v_2]) with
    A_s = softmax(q_s k_s^T / sqrt K), with lambda = exp(a b) - exp(c d) + l for learned a, b, c, d,
    and l = 0.8 - 0.6 exp(-0.3 depth) (Ye et al. 2024, arXiv:2410.05258). Version 2 has two queries
    per head: out = A_1 v - sigmoid(w x) A_2 v, A_s = softmax(q_s k^T / sqrt K) (its authors, 2026).
    """

    grouped = True
    card = Card(
        title="Differential Transformer",
        families=("dense",),
        paper="arXiv:2410.05258",
        year=2024,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        deployed=("DiffLlama",),
        aliases=("diff", "diff-transformer", "diffllama"),
        notes=(
            "version 1 has half as many heads of twice the width, as many weights as exact"
            " attention has; it pairs neighbours as the authors do, DiffLlama heads H / 2 apart",
            "the norm has no weights of its own, as in DiffLlama: the output projection has them",
            "in version 1 q and k are filled up to the width of v, as fused kernels want one width:"
            " a third more products, but each exponential once, where four calls make it twice",
            "version 2 is defined by a post and code of the authors alone",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        version: int = 1
        """1, of the paper; or 2, with twice the queries in place of pairs of heads, no norm, and a
        lambda for each token and head."""
        depth: int = 0
        """Layers before this one; lambda starts at 0.2 in the first and near 0.8 in deep ones;
        version 1 only."""

    def __init__(self, config: Config) -> None:
        if config.version not in {1, 2}:
            raise Unsupported(f"version {config.version} is neither 1 nor 2")
        if config.depth < 0:
            raise Unsupported(f"depth {config.depth} is below 0")
        self.paired, self.queries = config.version == 1, 2 * config.heads
        if not self.paired:
            both = {"q": Input("queries"), "lambda": Input(width=None)}
            self.inputs = {**QKV, **both}  # type: ignore[misc]  # of this version
        super().__init__(config)
        if not self.paired:
            return
        for number, what in ((self.heads, "heads"), (self.kv_heads, "kv heads")):
            if number % 2:
                raise Unsupported(f"{number} {what} are no pairs, which version 1 is made of")
        self.start = 0.8 - 0.6 * math.exp(-0.3 * config.depth)
        self.lambda_4K = nn.Parameter(0.1 * torch.randn(4, self.head_dim))

    def attend(self, q: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, *more: Any) -> Tensor:
        """`more`: in version 2 lambda, then the padding mask."""
        if not self.paired:
            valid_BT = more[1] if len(more) > 1 else None
            y_BFTK = exact(q, k_BGTK, v_BGTK, valid_BT, causal=self.causal)
            return self._difference(y_BFTK, more[0])
        mask = more[0][:, None, None] if more and more[0] is not None and not self.causal else None
        P, K = self.heads // 2, self.head_dim
        v_BPTV = repeat_kv(_pairs(v_BGTK), P)
        first, second = (
            scaled_dot_product_attention(
                pad(q[:, side::2], (0, K)),
                repeat_kv(pad(k_BGTK[:, side::2], (0, K)), P),
                v_BPTV,
                attn_mask=mask,
                is_causal=self.causal,
                scale=K**-0.5,
            )
            for side in (0, 1)
        )
        y_BPTV = self._normed(first - self._lambda().to(first.dtype) * second)
        return torch.unflatten(y_BPTV.transpose(1, 2), 3, (2, K)).flatten(2, 3).transpose(1, 2)

    def _lambda(self) -> Tensor:
        a_K, b_K, c_K, d_K = wide(self.lambda_4K)
        return (a_K * b_K).sum().exp() - (c_K * d_K).sum().exp() + self.start

    def _normed(self, y_V: Tensor) -> Tensor:
        return (1 - self.start) * rms_norm(y_V, y_V.shape[-1:], eps=1e-5)

    def _difference(self, y_F: Tensor, lambda_H: Tensor) -> Tensor:
        """Version 2: each head's second query directly follows its first."""
        return y_F[:, ::2] - lambda_H.sigmoid().unsqueeze(-1) * y_F[:, 1::2]

    def init_state(self, batch: int, context: int) -> Cache:
        cache = Cache.init(self, batch, context)
        return Cache(cache.k_BGRK, _pairs(cache.v_BGRK), context) if self.paired else cache

    def step(self, q: Tensor, k_BGK: Tensor, v_BGK: Tensor, *more: Any) -> tuple[Tensor, Cache]:
        """`more`: in version 2 lambda, then the state. Version 1 reads the values once for both."""
        state = more[-1]
        if not self.paired:
            state = state.append(k_BGK, v_BGK)
            return self._difference(state.attend(q), more[0]), state
        B, G, K = k_BGK.shape
        state = state.append(k_BGK, v_BGK.reshape(B, G // 2, 2 * K))
        k_BGRK, v_BPRV = (x[:, :, : state.length] for x in (state.k_BGRK, state.v_BGRK))
        q_BPsQK = q.view(B, G // 2, -1, 2, K).transpose(2, 3) * K**-0.5
        logits_BPsQR = q_BPsQK @ torch.unflatten(k_BGRK, 1, (-1, 2)).mT
        first, second = wide(logits_BPsQR).softmax(-1).unbind(2)
        weight_BPQR = first - self._lambda() * second
        y_BPQV = self._normed(weight_BPQR.to(v_BPRV.dtype) @ v_BPRV)
        return y_BPQV.reshape(B, self.heads, K), state


def _pairs(v_BGTK: Tensor) -> Tensor:
    """The values of two heads concatenated: (B, G / 2, T, 2 K)."""
    B, G, T, K = v_BGTK.shape
    return v_BGTK.transpose(1, 2).reshape(B, T, G // 2, 2 * K).transpose(1, 2)
