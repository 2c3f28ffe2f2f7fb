"""Multi-head latent attention: all heads share one small latent per token."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.parts.latent_attention import Rows, UpProjection
from effattn_cli.parts.rotary import angles, turned


@final
class MultiHeadLatent(Decodable[Rows]):
    """Keys and values of all heads are computed from one latent, the only thing that is cached.

    c = RMSNorm(x W_c), k_h = [c W_uk_h, turn(x W_r)], v_h = c W_uv_h, and out_h = softmax(q_h k_h^T
    / sqrt(N + R)) v_h, with the last R dimensions of q and k rotated by their position (RoPE);
    q = RMSNorm(x W_dq) W_uq if q has a rank (DeepSeek-V2, DeepSeek-AI 2024, arXiv:2405.04434). A
    decoding step absorbs W_uk into the query and applies W_uv to the mixture, and reads the C + R
    values of each token once.
    """

    card = Card(
        title="Multi-head latent attention",
        families=("latent", "exact"),
        paper="arXiv:2405.04434",
        year=2024,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        deployed=("DeepSeek-V3", "Kimi-K2", "GLM-5", "Mistral Large 4", "LongCat-Flash"),
        aliases=("multi-head-latent", "latent"),
        notes=(
            "keys and values are made in the core: forward and training expand, a step absorbs",
            "turned are the two halves of R, not neighbours, which is another order of channels",
            "values are laid out as wide as keys, for a fused kernel: a third of their product is"
            " with zeros at DeepSeek's widths",
        ),
    )
    inputs: ClassVar = {"q": Input(width="query_width"), "latent": Input(None, "row_width")}

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        latent: int = 512
        """Width of the latent (C)."""
        nope: int | None = None
        """Width of the part of a head's query and key that has no position (N); head_dim unless
        given; 128 in DeepSeek-V3, 192 in GLM-5."""
        rope: int = 64
        """Width of the part that has (R): one key for all heads; 0 in GLM-5.3."""
        turn: bool = True
        """Whether the last R numbers are rotated by their position; not in Kimi Linear."""
        value: int | None = None
        """Width of a head's value (V), head_dim unless given."""
        query_rank: int = 0
        """Rank of the query's projection, 1536 in DeepSeek-V3; 0 for one projection."""
        rotary_base: float = 10_000.0
        """The angles go from 1 down to about 1 / base."""

    def __init__(self, config: Config) -> None:
        usual = config.head_width
        nope = usual if config.nope is None else config.nope
        value = usual if config.value is None else config.value
        minimum = {"latent": 1, "value": 1, "rope": 0, "nope": 0, "query_rank": 0}
        for name, number in (("value", value), ("nope", nope), *vars(config).items()):
            if number is not None and name in minimum and number < minimum[name]:
                raise Unsupported(f"{name} {number} is below {minimum[name]}")
        if config.rope % 2 or nope + config.rope == 0:
            raise Unsupported(f"rope {config.rope} is not even, or there is no width at all")
        self.query_width, self.row_width = nope + config.rope, config.latent + config.rope
        self.width, self.query_rank = value, config.query_rank
        super().__init__(config)
        self.up = UpProjection(self.heads, config.latent, nope, value)
        self.norm = None if config.core else nn.RMSNorm(config.latent, eps=1e-6)
        self.cos_TR: Tensor
        self.sin_TR: Tensor
        turned_width = config.rope if config.turn else 0
        cos_TR, sin_TR = angles(config.tokens, turned_width, config.rotary_base)
        self.register_buffer("cos_TR", cos_TR, persistent=False)
        self.register_buffer("sin_TR", sin_TR, persistent=False)

    @property
    def value_dim(self) -> int:
        return self.width

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made, rank = super().make_projections(dim), self.query_rank
        if rank:
            up = nn.Linear(rank, self.heads * self.query_width, bias=False)
            made["q"] = nn.Sequential(
                nn.Linear(dim, rank, bias=False), nn.RMSNorm(rank, eps=1e-6), up
            )
        return made

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._rotated(super().project(x_BTD), 0)

    def project_step(self, x_BD: Tensor, state: Rows) -> tuple[tuple[Tensor, ...], Rows]:
        q_BHxK, row_BxE = self._rotated(super().project(x_BD.unsqueeze(1)), state.length)
        return (q_BHxK.squeeze(2), row_BxE.squeeze(1)), state

    def _rotated(self, inputs: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
        (q_BHTK, row_BTE), nope = inputs, self.up.key_HCN.shape[2]
        at = slice(first, first + row_BTE.shape[1])
        cos_TR, sin_TR, latent = self.cos_TR[at], self.sin_TR[at], self.up.latent
        assert self.norm is not None
        row = [self.norm(row_BTE[..., :latent]), turned(row_BTE[..., latent:], cos_TR, sin_TR)]
        q = [q_BHTK[..., :nope], turned(q_BHTK[..., nope:], cos_TR, sin_TR)]
        return torch.cat(q, dim=-1), torch.cat(row, dim=-1)

    def attend(self, q_BHTK: Tensor, row_BTE: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        return self.up.expanded(q_BHTK, row_BTE, valid_BT, causal=self.causal)

    def init_state(self, batch: int, context: int) -> Rows:
        return Rows.init(self, batch, context, self.row_width)

    def step(self, q_BHK: Tensor, row_BE: Tensor, state: Rows) -> tuple[Tensor, Rows]:
        state = state.append(row_BE)
        return self.up.one_query(q_BHK, state.filled), state
