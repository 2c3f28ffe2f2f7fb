"""Attention over a latent that all heads share, as DeepSeek's: keys wider than values."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, Input


@dataclass(frozen=True)
class Latents:
    """What decoding keeps: one latent a token, and the position's part of its key."""

    latent_BTC: Tensor
    position_BTR: Tensor
    length: int


class Latent(Decodable[Latents]):
    """Keys and values are made from a latent of 32 numbers, and a part of the key that is not."""

    card = Card(
        title="Latent", families=("exact",), paper="arXiv:2405.04434", year=2024, time="N^2",
        memory="N^2", causal="optional", kind="own mechanism",
    )  # fmt: skip
    inputs: ClassVar = {
        "q": Input(width="key_dim"),
        "latent": Input(heads=None, width=32),
        "place": Input(heads=None, width=8),
    }

    def __init__(self, config: Decodable.Config) -> None:
        super().__init__(config)
        self.up = nn.Linear(32, self.heads * 2 * self.head_dim, bias=False)

    @property
    def key_dim(self) -> int:
        return self.head_dim + 8

    def attend(
        self,
        q_BHTE: Tensor,
        latent_BTC: Tensor,
        position_BTR: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        k_BHSK, v_BHSK = (
            self.up(latent_BTC).unflatten(2, (self.heads, -1)).transpose(1, 2).chunk(2, dim=-1)
        )
        position_BHSR = position_BTR[:, None].expand(-1, self.heads, -1, -1)
        k_BHSE = torch.cat([k_BHSK, position_BHSR], dim=-1)
        scores_BHTS = q_BHTE @ k_BHSE.mT * self.key_dim**-0.5
        if self.causal and q_BHTE.shape[2] > 1:
            hidden_TS = torch.ones_like(scores_BHTS[0, 0], dtype=torch.bool).triu(1)
            scores_BHTS = scores_BHTS.masked_fill(hidden_TS, -1e4)
        if valid_BT is not None:
            scores_BHTS = scores_BHTS.masked_fill(~valid_BT[:, None, None], -1e4)
        return scores_BHTS.softmax(-1) @ v_BHSK

    def init_state(self, batch: int, context: int) -> Latents:
        room = max(self.config.tokens, context + 1)
        latent_BTC, position_BTR = (self.blank(batch, room, n, random=True) for n in (32, 8))
        return Latents(latent_BTC, position_BTR, context)

    def step(
        self, q_BHE: Tensor, latent_BC: Tensor, position_BR: Tensor, state: Latents
    ) -> tuple[Tensor, Latents]:
        state.latent_BTC[:, state.length], state.position_BTR[:, state.length] = (
            latent_BC,
            position_BR,
        )
        state = replace(state, length=state.length + 1)
        past = state.latent_BTC[:, : state.length], state.position_BTR[:, : state.length]
        return self.attend(q_BHE.unsqueeze(2), *past).squeeze(2), state
