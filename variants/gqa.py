"""Grouped-query attention."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, Unsupported, repeat_kv
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.lse_merge import Part, union
from effattn_cli.parts.rotary import Prepared
from effattn_cli.parts.rows import capped


@final
class GroupedQuery(Prepared, Decodable[Cache]):
    """Exact attention in which a group of query heads shares the keys and values of one kv head.

    out_h = softmax(q_h k_g^T / sqrt K) v_g with g = h // (H / G) (GQA, Ainslie et al. 2023,
    arXiv:2305.13245); kv_heads = 1 is multi-query attention (Shazeer 2019, arXiv:1911.02150).
    The scores cost the same as in multi-head attention; the projections and the KV cache shrink.
    """

    grouped = True
    kv_share = 4
    card = Card(
        title="Grouped-query attention",
        families=("exact",),
        paper="arXiv:2305.13245",
        year=2023,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="exact",
        swap="exact",
        swap_if={"softcap": (0.0,), "sinks": (False,)},
        own_kv_heads=True,
        aliases=("mqa", "multi-query", "grouped-query"),
        deployed=("Llama 3", "Qwen3", "Mistral", "gpt-oss", "MiniMax-M2"),
        notes=(
            "kv_heads: at most a quarter of the heads unless given, as in Llama 3 8B",
            "with softcap or sinks it is what such models compute, no longer plain softmax",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Prepared.Config):
        softcap: float = 0.0
        """Scores are kept within this by cap tanh(score / cap), 50 in Gemma 2; 0 for no cap."""
        sinks: bool = False
        """Whether each head has a learned logit in its denominator, as gpt-oss; causal only."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.softcap < 0:
            raise Unsupported(f"softcap {config.softcap} is below 0")
        if config.sinks and (config.softcap or not config.causal):
            raise Unsupported("sinks belong to causal attention without a softcap")
        self.softcap = config.softcap
        self.sink_H = nn.Parameter(torch.randn(self.heads)) if config.sinks else None

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if self.softcap:
            k_BHTK, v_BHTK = repeat_kv(k_BGTK, self.heads), repeat_kv(v_BGTK, self.heads)
            cap, causal = self.softcap, self.causal
            return capped(q_BHTK, k_BHTK, v_BHTK, valid_BT, cap=cap, causal=causal)
        if self.sink_H is not None:
            kv = repeat_kv(k_BGTK, self.heads), repeat_kv(v_BGTK, self.heads)
            return union(q_BHTK, [kv], [Part(causal=True)], self.sink_H)
        return exact(q_BHTK, k_BGTK, v_BGTK, valid_BT, causal=self.causal)

    def init_state(self, batch: int, context: int) -> Cache:
        return Cache.init(self, batch, context)

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BGK, v_BGK)
        return state.attend(q_BHK, self.sink_H, self.softcap), state
