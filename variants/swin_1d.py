"""Swin attention along one dimension: windows that shift from layer to layer."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from effattn_cli.attention import Attention, Card, Unsupported
from effattn_cli.parts.blocks import fold, unfold, within
from effattn_cli.parts.lse_merge import hide


@final
class Swin1D(Attention):
    """Tokens attend within windows of W, shifted by S tokens in every other layer.

    softmax(q k^T / sqrt K + b) v in each window, with a learned bias b per head and distance
    (Swin Transformer, Liu et al. 2021, arXiv:2103.14030, in one dimension). W: window, S: shift.
    """

    card = Card(
        title="Swin 1D",
        families=("fixed-pattern",),
        paper="arXiv:2103.14030",
        year=2021,
        time="N w",
        memory="N",
        causal="never",
        kind="approximates softmax",
        reach=("window",),
        aliases=("swin", "shifted-window"),
        notes=(
            "this is the shifted layer of the pair that the paper alternates; shift=0 is the other",
            "the paper rolls the tokens, and masks what the ends do not share; here the first and"
            " the last window are short, which is the same",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        window: int = 49
        """Tokens of a window (the paper's 7 x 7)."""
        shift: int | None = None
        """Where the first whole window begins; half of a window unless given."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.window < 1:
            raise Unsupported(f"window {config.window} is below 1")
        self.window = config.window
        self.shift = config.window // 2 if config.shift is None else config.shift
        if not 0 <= self.shift < self.window:
            raise Unsupported(f"shift {self.shift} is not from 0 to below the window {self.window}")
        self.reach = min(self.window, config.tokens)
        self.bias = nn.Parameter(torch.empty(2 * self.reach - 1, self.heads))
        nn.init.normal_(self.bias, std=0.02)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T = q_BHTK.shape[2]
        end = self.shift + max(0, T - self.shift) // self.window * self.window
        out = []
        for i, j in ((0, min(self.shift, T)), (self.shift, end), (end, T)):
            if i < j:  # a short window, all full windows, a short window
                valid = None if valid_BT is None else valid_BT[:, i:j]
                q, k, v = (x[:, :, i:j] for x in (q_BHTK, k_BHTK, v_BHTK))
                out.append(self._within(q, k, v, valid, min(self.window, j - i)))
        return out[0] if len(out) == 1 else torch.cat(out, dim=2)

    def _within(
        self, q: Tensor, k: Tensor, v: Tensor, valid_BT: Tensor | None, window: int
    ) -> Tensor:
        mask = self._bias(window)
        if valid_BT is not None:
            mask = mask + hide(~valid_BT.reshape(-1, 1, 1, window), mask)
        q_XHCK, k_XHCK, v_XHCK = (fold(x, window) for x in (q, k, v))
        return unfold(within(q_XHCK, k_XHCK, v_XHCK, mask), len(q))

    def _bias(self, window: int) -> Tensor:
        """The bias per head between the positions of a window, (1, H, W, W)."""
        at_W = torch.arange(window, device=self.bias.device)
        away_WW = at_W[:, None] - at_W + self.reach - 1
        # Contiguous, because a CPU's fused kernel would not take it otherwise.
        return embedding(away_WW, self.bias).permute(2, 0, 1).contiguous().unsqueeze(0)
