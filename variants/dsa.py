"""DeepSeek Sparse Attention: an index selects the tokens worth attending to."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.parts.gathered import KeysAndValues, Latents
from effattn_cli.parts.indexed import Indexed
from effattn_cli.parts.token_index import Past, TokenIndex

INDEX = {
    "index_q": Input("index_heads", "index_width"),
    "index_k": Input(None, "index_width"),
    "index_weight": Input("index_heads", None),
}


@final
class DeepSeekSparse(Indexed, Decodable[Past]):
    """Each query attends to the tokens that an index of a few narrow heads scores highest.

    I_ts = sum_j w_tj relu(a_tj b_s) for s <= t, with queries a and weights w of index head j, and
    one key b per token; out_t = softmax(q_t k_s^T / sqrt K) v_s over the `top` s with the highest
    I_ts, the same for all heads (DeepSeek-V3.2, DeepSeek-AI 2025, arXiv:2512.02556). With pools, b
    is one key per R tokens, their mean weighted by softmax(g + c) in each channel, g made of a
    token's x and c of its position in the pool: the best pools are attended to, and the tokens
    after the last full one.
    """

    grouped = True
    card = Card(
        title="DeepSeek Sparse Attention",
        families=("sparse-indexed",),
        paper="arXiv:2512.02556",
        year=2025,
        time="N^2 + N k",
        memory="N",
        state="N",
        causal="always",
        kind="own mechanism",
        deployed=("DeepSeek-V3.2", "GLM-5", "Mistral Large 4", "A.X-K2", "Hy-V4"),
        aliases=("deepseek-sparse", "lightning-indexer", "indexcache", "pooled-index"),
        notes=(
            "time is N^2 for the scores of the index, and N top for what is attended",
            "the index has 4 heads of 64 beside 8 of attention; in the paper 64 of 128 beside 128",
            "the index's projections are buffers: a choice has no gradient, and the loss that"
            " teaches them, the divergence from dense attention, is the trainer's",
            "the index's queries come from x, not from a low rank; the norm of its keys has no"
            " weights; positions turn halves over mla too",
            "of equal scores the earlier token is chosen; up to top tokens attention is exact",
            "decoding keeps a key of each pool; transformers those of all tokens, pooled each step",
            "a shared index is another layer's: given none, it is spread evenly over the past",
        ),
        exempt={
            "growth": "N^2 in the end, but what is attended is much of the work up to 16k tokens"
        },
    )
    inputs: ClassVar = KeysAndValues.inputs | INDEX

    @dataclass(frozen=True, kw_only=True)
    class Config(Indexed.Config):
        top: int = 512
        """Tokens that a query attends; itself is a candidate as others are. 2048 in the paper."""
        index_heads: int = 4
        """Query heads of the index; 64 in DeepSeek-V3.2, 32 in GLM-5."""
        index_width: int = 64
        """Width of a head of the index; 128 in both."""
        over: Literal["gqa", "mla"] = "gqa"
        """What is attended: keys and values of kv heads, or one latent row for all heads."""
        shared: bool = False
        """Whether the layer has no index and goes by another's, as three of four do in Hy-V4."""
        pool: int = 1
        """Tokens that the index scores as one (R), 16 in GLM-5.3-Flash; it divides `top`."""
        latent: int = 512
        """Width of the latent, over mla."""
        rope: int = 32
        """Numbers beside head_dim of a query, and of a row, that positions turn, over mla."""

    def __init__(self, config: Config) -> None:
        self._check(config)
        K, mla = config.head_width, config.over == "mla"
        self.query_width, self.row_width = K + config.rope, config.latent + config.rope
        self.index_heads, self.index_width = config.index_heads, config.index_width
        turned = config.rope if mla else int(config.index_width * config.rotary)
        self.index_turned = turned // 2 * 2
        self.period, self.horizon = config.pool, config.top + config.pool
        over = Latents if mla else KeysAndValues
        gate = {"index_gate": Input(None, "index_width")} if config.pool > 1 else {}
        index = {} if config.shared else INDEX | gate
        self.inputs = over.inputs | index  # type: ignore[misc]
        super().__init__(config)
        of_index = config.top, config.pool, None if config.shared else config.index_width
        self.index = TokenIndex(*of_index)
        self.over: Any = KeysAndValues()
        if mla:
            self.over = Latents(self.heads, config.latent, K, norm=not config.core)

    @staticmethod
    def _check(config: Config) -> None:
        for name in ("top", "index_heads", "index_width", "pool", "latent"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.top % config.pool:
            raise Unsupported(f"top {config.top} is not a multiple of pool {config.pool}")
        if config.over not in {"gqa", "mla"}:
            raise Unsupported(f"over {config.over!r} is not gqa or mla")
        if config.over == "mla":
            if config.rope % 2 or not 0 <= config.rope <= config.index_width:
                raise Unsupported(f"rope {config.rope} is not even, and from 0 to index_width")
            if config.rotary:
                raise Unsupported("rotary belongs to over gqa; mla has rope")

    def _rotated(self, inputs: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
        kept, index = self.parted(inputs)
        turn = partial(self.turn_index, first=first)
        mla = isinstance(self.over, Latents)
        kept = self.over.rotated(*kept, turn) if mla else super()._rotated(kept, first)
        if index:
            q_BITW, k_BTW, *rest = index
            k_BTW = layer_norm(k_BTW, k_BTW.shape[-1:], eps=1e-6)
            index = turn(q_BITW), turn(k_BTW), *rest
        return *kept, *index

    def attend(self, *given: Any, position_BTP: Tensor | None = None) -> Tensor:
        """Right padding: no real query sees it. `position_BTP` comes from another layer's index."""
        (q_BHTK, *kept), index = self.parted(given[: len(self.inputs)])
        first = self.index.early
        early_BHTV: Tensor = self.over.causal(*(x[..., :first, :] for x in (q_BHTK, *kept)))
        if first >= q_BHTK.shape[2]:
            return early_BHTV
        if position_BTP is None:
            position_BTP = self.index.choose(q_BHTK, *index)
        few, late_BHTK = self.index.pool > 1, q_BHTK[:, :, first:]
        late_BHTV = self.over.at(position_BTP, late_BHTK, *kept, some=few)
        both = early_BHTV.transpose(1, 2), late_BHTV.transpose(1, 2)
        return torch.cat(both, dim=1).transpose(1, 2)

    def init_state(self, batch: int, context: int) -> Past:
        return Past.init(self, batch, context, self.index.pooler)

    def step(self, *given: Any) -> tuple[Tensor, Past]:
        (q_BHK, *kept), index = self.parted(given[:-1])
        state = given[-1].append(kept)
        position_BP = self.index.choose_now(state, q_BHK, *index)
        return self.over.now(q_BHK, *state.read(position_BP)), state
