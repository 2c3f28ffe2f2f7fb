"""Compressed Convolutional Attention: exact attention on latents mixed by convolutions."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from effattn_cli.attention import Card, Decodable, repeat_kv
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rotary import Rotary

BACK = 2  # how many tokens two convolutions of two taps look back


@dataclass(frozen=True)
class Tail:
    """Inputs of the next projections: q and k of the last two tokens, half of the last v."""

    qk_BSE: Tensor
    v_BxF: Tensor


@dataclass(frozen=True)
class Memory:
    """Decoding state: the KV cache and, in a layer, the tail of the projections."""

    cache: Cache
    tail: Tail | None


@final
class CompressedConvolutional(Rotary, Decodable[Memory]):
    """Attends in a narrow latent space, with q and k mixed by short convolutions.

    With [q, k] = W x: [q', k'] = conv2(conv1([q, k])) + r, conv1 along time, conv2 along time and
    within a head, with two taps each; r is (q + its k) / 2, for k the mean of that over its group.
    Then softmax(q^ k^T / sqrt K) v, q^ = sqrt K q' / |q'|, k^ = t sqrt K k' / |k'|, with t learned
    per kv head; half of the channels of v come from the previous token (Figliolia et al. 2025,
    arXiv:2510.04476).
    """

    grouped = True
    kv_share = 4
    card = Card(
        title="Compressed Convolutional Attention",
        families=("latent",),
        paper="arXiv:2510.04476",
        year=2025,
        time="N^2",
        memory="N",
        state="N",
        causal="always",
        kind="own mechanism",
        deployed=("ZAYA1-8B",),
        aliases=("compressed-convolutional", "ccgqa"),
        notes=(
            "the latent is as wide as the heads: it compresses where heads x head_dim is below dim,"
            " 8 x 128 for queries and 2 x 128 for keys and values of 2048 in ZAYA1-8B",
            "kv_heads: at most a quarter of the heads unless given, as there",
            "the second half of the kv heads has the values of the token before: of one head, the"
            " second half of its channels, as in the released code",
            "the temperature begins at 1; rotary=0.5 with a base of 5000000 in ZAYA1-8B",
            "the core is grouped attention: the convolutions belong to the projections",
        ),
    )

    def __init__(self, config: Rotary.Config) -> None:
        super().__init__(config)
        if config.core:
            return
        J, K = self.heads + self.kv_heads, self.head_dim
        self.tap_SE, self.tap_E = _uniform(0.5, 2, J * K), _uniform(0.5, J * K)
        self.mix_SJKK, self.mix_JxK = _uniform(0.5 / K, 2, J, K, K), _uniform(0.5 / K, J, 1, K)
        self.temperature_Gxx = nn.Parameter(torch.ones(self.kv_heads, 1, 1))

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._latents(x_BTD, self._tail(len(x_BTD)), 0)[0]

    def project_step(self, x_BD: Tensor, state: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        assert state.tail is not None
        made, tail = self._latents(x_BD.unsqueeze(1), state.tail, state.cache.length)
        return tuple(x_BHxK.squeeze(2) for x_BHxK in made), replace(state, tail=tail)

    def _latents(self, x_BTD: Tensor, tail: Tail, first: int) -> tuple[tuple[Tensor, ...], Tail]:
        """q, k and v of tokens from position `first` on, which follow `tail`; and the new tail."""
        q_BTE, k_BTE, v_BTE = (self.projections[name](x_BTD) for name in "qkv")
        qk_BSE = torch.cat([tail.qk_BSE, torch.cat([q_BTE, k_BTE], dim=2)], dim=1)
        q_BHTK, k_BGTK = self._mixed(qk_BSE)
        mean_BHTK = (self.split("q", q_BTE) + repeat_kv(self.split("k", k_BTE), self.heads)) / 2
        q_BHTK, k_BGTK = q_BHTK + mean_BHTK, k_BGTK + self._of_group(mean_BHTK)
        k_BGTK = self._unit(k_BGTK) * self.temperature_Gxx
        now_BTF, late_BTF = torch.split(v_BTE, [v_BTE.shape[2] - self.late, self.late], dim=2)
        late_BSF = torch.cat([tail.v_BxF, late_BTF], dim=1)
        v_BGTK = self.split("v", torch.cat([now_BTF, late_BSF[:, :-1]], dim=2))
        tail = Tail(qk_BSE[:, -BACK:], late_BSF[:, -1:])
        return (self.at(self._unit(q_BHTK), first), self.at(k_BGTK, first), v_BGTK), tail

    def _mixed(self, qk_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """Both convolutions; the input starts with the two tokens before."""
        old_BSE = torch.addcmul(self.tap_E, qk_BSE[:, :-1], self.tap_SE[0])
        qk_BSE = torch.addcmul(old_BSE, qk_BSE[:, 1:], self.tap_SE[1])
        qk_BJSK = torch.unflatten(qk_BSE, 2, (-1, self.head_dim)).transpose(1, 2)
        qk_BJTK = qk_BJSK[:, :, :-1] @ self.mix_SJKK[0] + qk_BJSK[:, :, 1:] @ self.mix_SJKK[1]
        q_BHTK, k_BGTK = torch.split(qk_BJTK + self.mix_JxK, [self.heads, self.kv_heads], dim=1)
        return q_BHTK, k_BGTK

    def _of_group(self, x_BHTK: Tensor) -> Tensor:
        return torch.unflatten(x_BHTK, 1, (self.kv_heads, -1)).mean(2)

    def _unit(self, x_BHTK: Tensor) -> Tensor:
        """Scaled to length sqrt K."""
        return (normalize(wide(x_BHTK), dim=-1) * self.head_dim**0.5).to(x_BHTK.dtype)

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return exact(q_BHTK, k_BGTK, v_BGTK, causal=True)  # right padding

    @property
    def late(self) -> int:
        """How many channels of the values come from the previous token."""
        return self.kv_heads * self.head_dim // 2

    def _tail(self, batch: int, *, random: bool = False) -> Tail:
        channels = (self.heads + self.kv_heads) * self.head_dim
        shapes = (batch, BACK, channels), (batch, 1, self.late)
        return Tail(*(self.blank(*shape, random=random) for shape in shapes))

    def init_state(self, batch: int, context: int) -> Memory:
        shape = (batch, self.kv_heads, max(self.config.tokens, context + 1), self.head_dim)
        k_BGRK, v_BGRK = (self.blank(*shape, random=True) for _ in "kv")
        cache = Cache(k_BGRK, v_BGRK, context)
        return Memory(cache, None if self.config.core else self._tail(batch, random=context > 0))

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Memory
    ) -> tuple[Tensor, Memory]:
        cache = state.cache.append(k_BGK, v_BGK)
        return cache.attend(q_BHK), replace(state, cache=cache)


def _uniform(bound: float, *shape: int) -> nn.Parameter:
    """Initialised like a convolution; `bound` is 1 / fan-in."""
    return nn.Parameter((2 * torch.rand(*shape) - 1) * bound**0.5)
