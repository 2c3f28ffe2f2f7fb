"""ETC: global tokens beside a long input, and relative position labels."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.pooling import stretches
from effattn_cli.parts.precision import lowest
from effattn_cli.parts.relative import by_distance

CACHED = 2**21  # scores per piece, so that they fit in a CPU's caches


@final
class Etc(Attention):
    """A few global tokens see all and are seen by all; the others also see a sliding window.

    A score is q_i (k_j + a_l) / sqrt K, where the label l of i and j encodes their clipped distance
    within the same input, and between the two inputs whether the global token is that of the long
    token's segment. A row is one softmax over both inputs (ETC, Ainslie et al. 2020,
    arXiv:2004.08483).
    """

    card = Card(
        title="ETC",
        families=("fixed-pattern", "memory"),
        paper="arXiv:2004.08483",
        year=2020,
        time="N r + N m",
        memory="N",
        causal="never",
        kind="own mechanism",
        survey=SurveyRow(complexity="N_g^2 + N N_g", decode=False, classes="FP+M"),
        notes=(
            "the first global_tokens tokens are the global input, the rest the long one; of a"
            " shorter input all are global",
            "global token j stands for the j-th of the equal segments that the longest input is cut"
            " into; the authors take sentences or passages, and may hide other segments' tokens",
            "both inputs share their projections and one table of labels, the authors' default for"
            " the former; distances beyond max_distance count as it",
            "the survey's order leaves out the window, N r",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        global_tokens: int = 230
        """Tokens of the global input; 230 is the authors' for 4096 long ones."""
        radius: int = 84
        """Long tokens that a long one sees on either side."""
        max_distance: int = 12
        """The longest distance with a label of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("global_tokens", "radius", "max_distance"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        self.first, self.radius, self.clip = (
            config.global_tokens,
            config.radius,
            config.max_distance,
        )
        self.segment = max(1, -(-(config.tokens - self.first) // self.first))
        # By distance, from -max_distance on; the last two: same segment, other segment.
        labels_HKL = torch.randn(self.heads, self.head_dim, 2 * self.clip + 3) * 0.02
        self.labels_HKL = nn.Parameter(labels_HKL)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        B, H, T, K = q_BHTK.shape
        q_BHTK = q_BHTK * K**-0.5
        label_BHTL = q_BHTK @ self.labels_HKL
        valid_BT = q_BHTK.new_ones(B, T) if valid_BT is None else valid_BT.to(q_BHTK.dtype)
        valid_BHT = valid_BT.unsqueeze(1).expand(-1, H, -1)
        first_BHMK = self._global_rows(q_BHTK, k_BHTK, v_BHTK, label_BHTL, valid_BHT)
        if self.first >= T:
            return first_BHMK
        long = T - self.first
        group = B * H
        if pieces_pay(q_BHTK):
            group = max(1, CACHED // (long * (3 * self.radius + self.first)))
        flat = (x.flatten(0, 1) for x in (q_BHTK, k_BHTK, v_BHTK, label_BHTL, valid_BHT))
        parts = zip(*(torch.split(x, group) for x in flat), strict=True)
        long_PNK = torch.cat([self._long_rows(*part) for part in parts])
        return torch.cat([first_BHMK, long_PNK.view(B, H, long, K)], dim=2)

    def _global_rows(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, label_BHTL: Tensor, valid_BHT: Tensor
    ) -> Tensor:
        first = min(self.first, q_BHTK.shape[2])
        label_BHML = label_BHTL[:, :, :first]
        bias_BHMM = by_distance(label_BHML, self.clip, looks=first, reach=0)
        same_NM = self._same_segment(q_BHTK.shape[2] - first, first)
        bias_BHMN = self._by_segment(label_BHML, same_NM.mT)
        hidden_BHxT = (1 - valid_BHT.unsqueeze(2)) * lowest(q_BHTK)
        bias_BHMT = torch.cat([bias_BHMM, bias_BHMN], dim=3) + hidden_BHxT
        q_BHMK = q_BHTK[:, :, :first]
        return scaled_dot_product_attention(q_BHMK, k_BHTK, v_BHTK, bias_BHMT, scale=1.0)

    def _long_rows(
        self, q_PTK: Tensor, k_PTK: Tensor, v_PTK: Tensor, label_PTL: Tensor, valid_PT: Tensor
    ) -> Tensor:
        """In blocks of C queries, which see S long tokens around them and the M global ones."""
        P, T, _ = q_PTK.shape
        first, long = self.first, T - self.first
        radius, nothing = min(self.radius, long), lowest(q_PTK) / 4  # finite even when added up
        block = 16 * max(1, -(-2 * radius // 64))
        reach = -(-radius // block) * block
        looks = block + 2 * reach
        q_PZCK, label_PZCL = (stretches(x[None, :, first:], block)[0] for x in (q_PTK, label_PTL))
        blocks = q_PZCK.shape[1]

        def around(x_PTE: Tensor) -> Tensor:
            x_PNE = pad(x_PTE[:, first:], (0, 0, reach, 0))
            return stretches(x_PNE[None], looks, block)[0, :, :blocks]

        near_PZCS = q_PZCK @ around(k_PTK).mT
        near_PZCS += by_distance(label_PZCL, self.clip, looks, reach)
        near_PZCS += (1 - around(valid_PT.unsqueeze(2)).mT) * nothing
        at_S, at_C1 = (torch.arange(n, device=q_PTK.device) for n in (looks, block))
        far_CS = (at_S - reach - at_C1[:, None]).abs() > radius
        near_PZCS += far_CS.to(q_PTK.dtype) * nothing
        first_PZCM = (q_PZCK.flatten(1, 2) @ k_PTK[:, :first].mT).view(P, blocks, block, first)
        same_ZCM = self._same_segment(blocks * block, first).view(blocks, block, first)
        first_PZCM += self._by_segment(label_PZCL, same_ZCM)
        first_PZCM += (1 - valid_PT[:, None, None, :first]) * nothing
        weights = torch.cat([near_PZCS, first_PZCM], dim=3).softmax(-1)
        near_PZCS, first_PZCM = torch.split(weights, [looks, first], dim=3)
        y_PNK = (near_PZCS @ around(v_PTK)).flatten(1, 2)
        y_PNK += first_PZCM.flatten(1, 2) @ v_PTK[:, :first]
        return y_PNK[:, :long]

    def _by_segment(self, label_xCL: Tensor, same_CM: Tensor) -> Tensor:
        return torch.where(same_CM, label_xCL[..., -2:-1], label_xCL[..., -1:])

    def _same_segment(self, long: int, first: int) -> Tensor:
        """Whether global token m is that of long token n's segment, (N, M)."""
        device = self.labels_HKL.device
        of_N = torch.arange(long, device=device) // self.segment
        return of_N[:, None] == torch.arange(first, device=device)
