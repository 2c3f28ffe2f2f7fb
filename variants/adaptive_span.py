"""Adaptive span: each head learns how far back it attends."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, Unsupported
from effattn_cli.parts.banded import Ring, overlapping
from effattn_cli.parts.lse_merge import hide


@final
class AdaptiveSpan(Decodable[Ring]):
    """Weights the key at distance x by m(x) = clamp((R + z - x) / R, 0, 1), z learned per head.

    out_i = sum over j of m(i - j) exp(s_ij) v_j / sum over j of m(i - j) exp(s_ij), with
    s = q k / sqrt K and z from 0 to S (Adaptive Attention Span in Transformers, Sukhbaatar et al.
    2019, arXiv:1905.07799). R: ramp, S: span.
    """

    card = Card(
        title="Adaptive span",
        families=("fixed-pattern", "learnable-pattern"),
        paper="arXiv:1905.07799",
        year=2019,
        time="N w",
        memory="N",
        state="w",
        causal="always",
        kind="approximates softmax",
        reach=("span",),
        notes=(
            "every head is computed to S tokens, as far as it may learn to look; the authors' code"
            " stops at the longest span that a head has learned, and its ramp",
            "z is clamped where it is used, so that a head beyond 0 or S stays there; the authors"
            " clamp it after each step",
            "spans start evenly from 0 to S over the heads; the authors start all at 0",
            "a query sees itself, at distance 0; in the paper distances begin at 1",
            "without the paper's position embeddings, and its penalty on z, which is the model's",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        span: int = 256
        """Tokens that a head sees at most (S): 8192 in the paper, of which heads learn hundreds."""
        ramp: int = 32
        """Tokens over which the weight falls to 0 (R)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name, minimum in (("span", 1), ("ramp", 1)):
            if getattr(config, name) < minimum:
                raise Unsupported(f"{name} {getattr(config, name)} is below {minimum}")
        self.span, self.ramp, self.horizon = config.span, config.ramp, config.span
        self.span_H = nn.Parameter(torch.linspace(0, 1, self.heads))  # z / S

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        B, H, T, K = q_BHTK.shape  # right padding: no real query sees it
        before = min(self.span, T) - 1
        block = 16 * max(1, -(-before // 64))
        behind = -(-before // block)
        missing = -T % block
        q_PTK, k_PTK, v_PTK = (
            pad(x, (0, 0, start, missing)).flatten(0, 1)
            for x, start in ((q_BHTK, 0), (k_BHTK, behind * block), (v_BHTK, behind * block))
        )
        q_ZPCK = q_PTK.view(B * H, -1, block, K).transpose(0, 1)
        k_ZPSK, v_ZPSK = (overlapping(x, block, behind + 1) for x in (k_PTK, v_PTK))
        at_S = torch.arange(-behind * block, block, device=q_BHTK.device)
        at_C1 = at_S[-block:, None]
        mask_PCS = self._log_weight(at_C1 - at_S, q_BHTK.dtype).repeat(B, 1, 1)
        # The first blocks also look at positions before the first token.
        at_Z11 = torch.arange(behind, device=at_S.device)[:, None, None] * block
        lost_Z1S = at_Z11 + at_S < 0
        early = mask_PCS + hide(lost_Z1S, q_BHTK).unsqueeze(1)
        out = [
            scaled_dot_product_attention(q_ZPCK[rows], k_ZPSK[rows], v_ZPSK[rows], attn_mask=mask)
            for rows, mask in (
                (slice(behind), early[: len(q_ZPCK)]),
                (slice(behind, None), mask_PCS),
            )
            if len(q_ZPCK[rows])
        ]
        return torch.cat(out).transpose(0, 1).reshape(B, H, -1, K)[:, :, :T]

    def _log_weight(self, distance: Tensor, dtype: torch.dtype) -> Tensor:
        """Bias to add to the scores of each head (H, *): log m, kept finite where m is 0."""
        z_H = self.span_H.to(torch.promote_types(dtype, torch.float32)).clamp(0, 1) * self.span
        z = z_H.view(-1, *(1 for _ in distance.shape))
        weight = ((self.ramp + z - distance) / self.ramp).clamp(max=1)
        seen = (distance >= 0) & (distance < self.span) & (weight > 0)
        log_weight = weight.clamp(min=torch.finfo(weight.dtype).tiny).log()
        return log_weight.to(dtype).masked_fill(~seen, torch.finfo(dtype).min / 2)

    def init_state(self, batch: int, context: int) -> Ring:
        return Ring.init(self, batch, context, last=self.span, heads=self.heads)

    def step(self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Ring) -> tuple[Tensor, Ring]:
        position_R = torch.arange(min(state.length + 1, self.span), device=q_BHK.device)
        distance_1R = (state.length - position_R)[None] % self.span
        state = state.append(k_BHK, v_BHK)
        k_BHRK, v_BHRK = (x[:, :, : len(position_R)] for x in (state.k_BGRK, state.v_BGRK))
        mask_H1R = self._log_weight(distance_1R, q_BHK.dtype)
        y_BHxK = scaled_dot_product_attention(
            q_BHK.unsqueeze(2), k_BHRK, v_BHRK, attn_mask=mask_H1R
        )
        return y_BHxK.squeeze(2), state
