"""Charformer: characters pooled into soft subwords."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Attention, Card, Unsupported
from effattn_cli.parts.exact import exact
from effattn_cli.parts.tokens import TokenMixer

LARGEST = 6  # the pattern of blocks of up to 6 tokens repeats after 60 tokens, of up to 7 after 420


@final
class Charformer(TokenMixer):
    """Blends, per character, its enclosing blocks of every size, then pools the characters.

    For b = 1..M: X_b(t) is the mean of the block of b characters that contains t when the sequence
    is cut into such blocks. With P = softmax over b of w X_b(t), y_t = sum_b P_b(t) X_b(t), and the
    output is the mean of each run of S of the y: gradient-based subword tokenization, GBST
    (Charformer, Tay et al. 2021, arXiv:2106.12672). S: downsample, M: block.
    """

    card = Card(
        title="Charformer",
        families=("downsampling",),
        paper="arXiv:2106.12672",
        year=2021,
        time="N",
        memory="N",
        causal="never",
        kind="own mechanism",
        shortens="always",
        notes=(
            "the core is GBST alone, on the values with heads merged; it has no projections; the"
            " convolution before it, which tells positions in a block apart, is left to the"
            " embedding",
            "what it saves is in the layers after it, which run on N / S tokens",
            "w is one for all sizes, as in the paper; the authors' code has one for each",
            "means are of real tokens: at the end a block or a run may have fewer",
            "with calibrate the time is N^2; P is calibrated as in the paper, after the softmax",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        block: int = 4
        """Characters of the largest block (M in the paper)."""
        downsample: int = 2
        """Characters that become one token (d_s in the paper)."""
        calibrate: bool = False
        """Lets the scores P of all characters consult each other: softmax(P P^T) P."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        M, S = config.block, config.downsample
        if not 1 <= M <= LARGEST:
            raise Unsupported(f"block {M} is not between 1 and {LARGEST}")
        if not 1 <= S <= M:
            raise Unsupported(f"downsample {S} is not between 1 and block {M}")
        self.downsample, self.calibrate = S, config.calibrate
        self.period = math.lcm(*range(1, M + 1))
        self.score = nn.Linear(config.dim, 1, bias=False)  # a bias would cancel in the softmax
        block_ML = torch.arange(self.period) // torch.arange(1, M + 1)[:, None]
        #: 1 where two characters of a period are in the same block of size b.
        self.same_MLL: Tensor
        same_MLL = (block_ML[:, :, None] == block_ML[:, None, :]).float()
        self.register_buffer("same_MLL", same_MLL, persistent=False)

    def mix_tokens(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """As one matrix per period, N / L of them: no pooled or repeated copy of x is made."""
        T = x_BTD.shape[1]
        wide = torch.promote_types(x_BTD.dtype, torch.float32)
        if valid_BT is None:
            valid_BT = torch.ones(1, T, dtype=torch.bool, device=x_BTD.device)
        valid_BZL = self._periods(valid_BT.to(wide).unsqueeze(2)).squeeze(3)
        same_MLL = self.same_MLL.to(wide)

        def sums(s_BZL: Tensor) -> Tensor:
            return torch.einsum("bzj,mij->bzim", s_BZL, same_MLL)

        count_BZLM = sums(valid_BZL).clamp(min=1)
        score_BZL = self._periods(self.score(x_BTD).to(wide)).squeeze(3) * valid_BZL
        share_BZLM = (sums(score_BZL) / count_BZLM).softmax(-1)
        if self.calibrate:
            share_BZLM = self._calibrated(share_BZLM, valid_BT)
        # The share of each real character in the mean over its run.
        part_BZL1 = (valid_BZL / count_BZLM[..., self.downsample - 1]).unsqueeze(-1)
        mix_BZLL = torch.einsum("bzim,mij->bzij", part_BZL1 * share_BZLM / count_BZLM, same_MLL)
        runs_BZRL = torch.unflatten(mix_BZLL, 2, (-1, self.downsample)).sum(
            3
        ) * valid_BZL.unsqueeze(2)
        out_BRD = (runs_BZRL.to(x_BTD.dtype) @ self._periods(x_BTD)).flatten(1, 2)
        return out_BRD[:, : -(-T // self.downsample)]

    def output_mask(self, valid_BT: Tensor) -> Tensor:
        return valid_BT[:, :: self.downsample]  # right padding

    def _periods(self, x_BTE: Tensor) -> Tensor:
        missing = -x_BTE.shape[1] % self.period
        x_BTE = pad(x_BTE, (0, 0, 0, missing)) if missing else x_BTE
        return torch.unflatten(x_BTE, 1, (-1, self.period))

    def _calibrated(self, share_BZLM: Tensor, valid_BT: Tensor) -> Tensor:
        share_BxTM = share_BZLM.flatten(1, 2)[:, None, : valid_BT.shape[1]]
        # `exact` divides the logits by sqrt M.
        query_BxTM = share_BxTM * share_BxTM.shape[-1] ** 0.5
        return self._periods(exact(query_BxTM, share_BxTM, share_BxTM, valid_BT).squeeze(1))
