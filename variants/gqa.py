"""Grouped-query attention."""

from typing import final

from torch import Tensor

from effattn_cli.attention import Card, Decodable
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.rotary import Rotary


@final
class GroupedQuery(Rotary, Decodable[Cache]):
    """Exact attention in which a group of query heads shares the keys and values of one kv head.

    out_h = softmax(q_h k_g^T / sqrt K) v_g with g = h // (H / G) (GQA, Ainslie et al. 2023,
    arXiv:2305.13245); kv_heads = 1 is multi-query attention (Shazeer 2019, arXiv:1911.02150).
    The scores cost what they did; the projections, and the cache that decoding reads, shrink.
    """

    grouped = True
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
        aliases=("mqa", "multi-query", "grouped-query"),
        notes=("kv_heads: at most a quarter of the heads unless given, as in Llama 3 8B",),
    )

    @staticmethod
    def default_kv_heads(heads: int) -> int:
        return max((n for n in range(1, heads // 4 + 1) if heads % n == 0), default=1)

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        return exact(q_BHTK, k_BGTK, v_BGTK, real_BT, causal=self.causal)

    def init_state(self, batch: int, context: int) -> Cache:
        return Cache.init(self, batch, context)

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BGK, v_BGK)
        return state.attend(q_BHK), state
