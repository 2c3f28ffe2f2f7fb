"""Heavily compressed attention: a sliding window, and one entry per many tokens before it."""

from typing import ClassVar, final

from torch import Tensor

from effattn_cli.attention import Card, Input
from effattn_cli.parts.shared_kv import Recent, SharedKeyValue
from effattn_cli.parts.shared_rows import near_and_before


@final
class HeavilyCompressed(SharedKeyValue):
    """A window of recent tokens, and one entry per 128 tokens before it, in one softmax.

    out_h = softmax over j of (q_h c_j / sqrt K, s_h) c_j, rotated back by the query's position. c_j
    is the row RMSNorm(x W) of one of the last W tokens, or the entry of a full window w of R
    tokens, RMSNorm(sum over i in w of softmax(x_i W_g + b) x_i W_e), with a softmax in each
    channel; s_h is an attention sink. Query t sees entries w < (t + 1) // R (DeepSeek-V4,
    DeepSeek-AI, released in April 2026; the report before it is that of DeepSeek-V3.2, DeepSeek-AI
    2025, arXiv:2512.02556).
    """

    card = Card(
        title="Heavily compressed attention",
        families=("latent", "window"),
        paper="arXiv:2512.02556",
        year=2026,
        time="N w + N^2/r",
        memory="N",
        state="N/r",
        causal="always",
        kind="own mechanism",
        deployed=("DeepSeek-V4",),
        aliases=("heavily-compressed", "heavily-compressed-attention"),
        notes=(
            "the definition is that of DeepSeek-V4's release of April 2026, whose report has no"
            " arXiv number; the paper named is that of the model before",
            "turned are two halves of the last numbers, not neighbours, which is another order of"
            " channels, and without YaRN",
            "plain projections of queries and output unless query_rank and out_groups ask for the"
            " release's",
        ),
        exempt={
            "gradients": "none reaches what makes entries before a window of 128 tokens is full",
            "growth": "N^2 / 128 in the end, but up to 16k tokens the window is most of the work",
        },
    )
    inputs: ClassVar = {
        "q": Input(),
        "kv": Input(None),
        "entry": Input(None, "entry_width"),
        "gate": Input(None, "entry_width"),
    }

    def attend(
        self,
        q_BHTK: Tensor,
        kv_BTK: Tensor,
        entry_BTK: Tensor,
        gate_BTK: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        """Padding is on the right, so no real query sees it."""
        y_BTHK = near_and_before(
            q_BHTK.transpose(1, 2),
            kv_BTK,
            self.entries(self.compressor, entry_BTK, gate_BTK),
            ratio=self.ratio,
            window=self.window,
            sink_H=self.sink_H,
        )
        return self.turned(y_BTHK, slice(0, y_BTHK.shape[1]), back=True).transpose(1, 2)

    def step(
        self, q_BHK: Tensor, kv_BK: Tensor, entry_BK: Tensor, gate_BK: Tensor, state: Recent
    ) -> tuple[Tensor, Recent]:
        position, state = state.length, state.append(kv_BK)
        before_BZK = self.take_up(self.compressor, state.entries, entry_BK, gate_BK, position)
        return self.from_rows(q_BHK, [state.near, before_BZK], position), state
