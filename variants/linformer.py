"""Linformer: attention that is low-rank along the length."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported
from effattn_cli.parts.exact import exact


@final
class Linformer(Attention):
    """Attends to `rank` learned mixtures of all keys instead of every key.

    k' = E^T k and v' = F^T v with E, F of shape (N, R) over the length, then
    softmax(q k'^T / sqrt K) v' (Linformer, Wang et al. 2020, arXiv:2006.04768).
    R: rank. E and F have rows for the longest sequence; shorter ones use the first rows.
    """

    card = Card(
        title="Linformer",
        families=("low-rank",),
        paper="arXiv:2006.04768",
        year=2020,
        time="N k",
        memory="N",
        causal="never",
        kind="approximates softmax",
        survey=SurveyRow(complexity="N", decode=False, classes="LR"),
        lra=51.36,
        notes=("padded keys and values are zeroed before the mixture: a mask after it has no say",),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        rank: int = 256
        """Mixtures that stand for the keys (k in the paper)."""
        sharing: Literal["none", "headwise", "key-value"] = "headwise"
        """What has a mixture of its own: each head, keys and values, or neither."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.rank < 1:
            raise Unsupported(f"rank {config.rank} is below 1")
        if config.sharing not in {"none", "headwise", "key-value"}:
            raise Unsupported(f"sharing {config.sharing!r} is none of none, headwise, key-value")
        own = (self.heads,) if config.sharing == "none" else ()
        shape = (*own, config.tokens, config.rank)
        self.mix_k = nn.Parameter(torch.randn(*shape).mul_(config.rank**-0.5))
        self.mix_v = self.mix_k
        if config.sharing != "key-value":
            self.mix_v = nn.Parameter(torch.randn(*shape).mul_(config.rank**-0.5))

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        k_BHRK = _mixed(self.mix_k, k_BHTK, valid_BT)
        return exact(q_BHTK, k_BHRK, _mixed(self.mix_v, v_BHTK, valid_BT))


def _mixed(mix_TR: Tensor, x_BHTK: Tensor, valid_BT: Tensor | None) -> Tensor:
    B, H, T, K = x_BHTK.shape
    mix_TR = mix_TR[..., :T, :]
    if valid_BT is not None:
        x_BHTK = x_BHTK * valid_BT[:, None, :, None]
    if mix_TR.ndim == 3:  # one mixture per head
        return mix_TR.mT @ x_BHTK
    # One product for all heads: (R, T) by (T, H K), a view of the projection's output.
    x_BTE = x_BHTK.transpose(1, 2).reshape(B, T, H * K)
    return (mix_TR.mT @ x_BTE).view(B, -1, H, K).transpose(1, 2)
