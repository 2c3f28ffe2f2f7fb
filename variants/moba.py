"""Mixture of Block Attention: each query attends to the blocks whose mean keys score highest."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, Unsupported, repeat_kv
from effattn_cli.parts.lse_merge import Part
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rotary import Rotary
from effattn_cli.parts.rows import rows_at_once
from effattn_cli.parts.selected import BlockCache, exact_until, selected


@dataclass(frozen=True)
class Gated:
    """Decoding state: keys and values in blocks, and the mean key of each full block."""

    cache: BlockCache
    mean_BGZK: Tensor

    @property
    def length(self) -> int:
        return self.cache.length


@final
class MixtureOfBlocks(Rotary, Decodable[Gated]):
    """Each query attends to its own block and to the earlier blocks with the best mean keys.

    For query i in block z, the gate of a block y < z is q_i mean(k of y); the `top` - 1 highest
    blocks and z itself, causally, share one softmax(q_i k_j / sqrt K) v_j. The gate selects blocks
    but does not weight them (MoBA: Mixture of Block Attention for Long-Context LLMs, Lu et al.
    2025, arXiv:2502.13189).
    """

    grouped = True
    card = Card(
        title="Mixture of Block Attention",
        families=("learnable-pattern", "sparse-indexed"),
        paper="arXiv:2502.13189",
        year=2025,
        time="N k + N^2/c",
        memory="N",
        state="N",
        causal="always",
        kind="approximates softmax",
        swap="lossy",
        knobs={"top": "N"},
        aliases=("mixture-of-block", "mixture-of-blocks"),
        notes=(
            "time is N top block for what is attended, and N^2 / block for the gate's scores",
            "each query head chooses for itself, also where heads share keys and values",
            "up to top x block tokens nothing is left out: attention is exact",
            "a decoding step reads the chosen blocks only; serving code mostly reads all there",
            "Kimi uses it, in no model with released weights",
        ),
        exempt={
            "growth": "N^2 in the end, but up to 16k tokens the gate is a small part of the work"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        block: int = 256
        """Tokens of a block; flash-linear-attention's default. 512 and 4096 in the paper."""
        top: int = 4
        """Blocks that a query attends, its own among them; 3 and 12 in the paper."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("block", "top"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        self.block = self.period = config.block
        self.top = config.top
        self.whole = config.top * config.block  # up to here a query sees all before it
        self.horizon = self.whole

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        qkv = q_BHTK, k_BGTK, v_BGTK
        return exact_until(self.whole, *qkv, block=self.block, late=self._chosen)

    def _chosen(self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
        """For the queries from block `top` on."""
        H, T = q_BHTK.shape[1:3]
        pick_BHTN = self._choose(q_BHTK, self._means(k_BGTK))
        kv = repeat_kv(k_BGTK, H), repeat_kv(v_BGTK, H)
        own = [Part(k=(self.whole, None), blocks=T // self.block, causal=True)]
        return selected(q_BHTK, *kv, pick_BHTN, own, block=self.block)

    def _means(self, k_BGTK: Tensor) -> Tensor:
        B, G, _, K = k_BGTK.shape
        return wide(k_BGTK.detach()).reshape(B, G, -1, self.block, K).mean(3)

    @torch.no_grad()
    def _choose(self, q_BHTK: Tensor, mean_BGZK: Tensor) -> Tensor:
        """The earlier blocks that each query attends to, (B, H, T, N), from block `top` on."""
        T, picks = q_BHTK.shape[2], []
        step = rows_at_once(q_BHTK, mean_BGZK.shape[2])
        for first in range(0, T, step):
            q_BHCK = q_BHTK[:, :, first : first + step]
            positions = torch.arange(first, first + q_BHCK.shape[2], device=q_BHTK.device)
            own_C1 = self.top + positions[:, None] // self.block
            before = self.top + (first + q_BHCK.shape[2] - 1) // self.block
            gate_BHCZ = _gate(q_BHCK, mean_BGZK[:, :, :before])
            later_CZ = torch.arange(before, device=q_BHTK.device) >= own_C1
            gate_BHCZ = gate_BHCZ.masked_fill_(later_CZ, -torch.inf)
            picks.append(gate_BHCZ.topk(self.top - 1, sorted=False).indices)
        return torch.cat(picks, dim=2)

    def init_state(self, batch: int, context: int) -> Gated:
        cache = BlockCache.init(self, batch, context, self.block)
        mean_BGZK = wide(torch.randn_like(cache.k_BGZCK[:, :, :, 0])) * self.block**-0.5
        return Gated(cache, mean_BGZK)

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Gated
    ) -> tuple[Tensor, Gated]:
        cache, own = state.cache.append(k_BGK, v_BGK), state.length // self.block
        gate_BHxZ = _gate(q_BHK.unsqueeze(2), state.mean_BGZK[:, :, :own])
        pick_BHN = gate_BHxZ.squeeze(2).topk(min(own, self.top - 1), sorted=False).indices
        y_BHK = cache.attend(q_BHK, pick_BHN)
        if cache.length % self.block == 0:
            state.mean_BGZK[:, :, own] = self._means(cache.k_BGZCK[:, :, own]).squeeze(2)
        return y_BHK, Gated(cache, state.mean_BGZK)


def _gate(q_BHTK: Tensor, mean_BGZK: Tensor) -> Tensor:
    """Scores of queries and means, in at least float32: rounding could change the selection."""
    q_BGRTK = torch.unflatten(wide(q_BHTK), 1, (mean_BGZK.shape[1], -1))
    return (q_BGRTK @ mean_BGZK.unsqueeze(2).mT).flatten(1, 2)
