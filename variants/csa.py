"""Compressed sparse attention: a sliding window, and top-k earlier entries picked by an indexer."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Input, Unsupported
from effattn_cli.parts.compression import Compressor, Entries
from effattn_cli.parts.indexed import as_buffers, choose, choose_now, with_index
from effattn_cli.parts.shared_kv import Recent, SharedKeyValue, near_and_chosen
from effattn_cli.parts.shared_rows import near_and_before


@final
class CompressedSparse(SharedKeyValue):
    """A window of recent tokens, and before it each query's top-k entries of 4 tokens each.

    out_h = softmax over j of (q_h c_j / sqrt K, s_h) c_j, rotated back by the query's position. c_j
    is the row RMSNorm(x W) of one of the last W tokens, or a chosen entry w, RMSNorm(sum of
    softmax(g + b) e) over the tokens of window w, and over those of w - 1 with other projections e
    and g of x, softmax in each channel; s_h is a sink. Selected are the k entries w < (t + 1) // R
    of the highest sum over i of u_i relu(p_i d_w), d being narrow entries of the same form, u and p
    projections of the query's x (DeepSeek-V4, DeepSeek-AI, released in April 2026; the indexer
    follows DeepSeek-V3.2, DeepSeek-AI 2025, arXiv:2512.02556).
    """

    card = Card(
        title="Compressed sparse attention",
        families=("sparse-indexed", "latent"),
        paper="arXiv:2512.02556",
        year=2026,
        time="N k + N^2/r",
        memory="N",
        state="N/r",
        causal="always",
        kind="own mechanism",
        deployed=("DeepSeek-V4",),
        aliases=("compressed-sparse", "compressed-sparse-attention"),
        notes=(
            "the definition is that of DeepSeek-V4's release of April 2026, whose report has no"
            " arXiv number; the paper named is that of the model before, which has the indexer",
            "turned are two halves of the last numbers, not neighbours, which is another order of"
            " channels, and without YaRN",
            "plain projections of queries and output unless query_rank and out_groups ask for the"
            " release's",
            "the indexer has 4 heads, and rates in float32; in the release 64, in 4 and 8 bits,"
            " with constant factors that change no choice",
            "the indexer's weights are buffers: a choice has no gradient, and the loss that teaches"
            " them is the trainer's",
            "of entries with equal ratings the earlier is chosen; the release leaves it open",
        ),
        exempt={
            "growth": "N^2 in the end, but up to 16k tokens attention to the chosen is most of it",
        },
    )
    series = 2
    queries = ("q", "index_q")
    inputs: ClassVar = {
        "q": Input(),
        "kv": Input(None),
        "entry": Input(None, "entry_width"),
        "gate": Input(None, "entry_width"),
        "index_q": Input("index_heads", "index_width"),
        "index_weight": Input("index_heads", None),
        "index_entry": Input(None, "index_entry_width"),
        "index_gate": Input(None, "index_entry_width"),
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(SharedKeyValue.Config):
        ratio: int = 4
        """Tokens from an entry to the next; each entry is made of twice as many."""
        top: int = 512
        """Entries that a query chooses (k), 1024 in DeepSeek-V4-Pro."""
        index_heads: int = 4
        """Heads of the indexer, 64 in DeepSeek-V4."""
        index_width: int = 128
        """Width of a head of the indexer, and of its entries."""

    def __init__(self, config: Config) -> None:
        for name in ("top", "index_heads", "index_width"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        self.top, self.index_heads = config.top, config.index_heads
        self.index_width, self.index_entry_width = config.index_width, 2 * config.index_width
        super().__init__(config)
        turned = 2 * self.cos_TR.shape[1]
        if config.index_width < turned:
            raise Unsupported(f"index_width {config.index_width} is below the {turned} of rope")
        self.horizon = max(self.window, self.ratio * self.top) + self.ratio
        self.indexer = Compressor(config.index_width, self.ratio, series=2)
        as_buffers(self.indexer)

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        return with_index(super().make_projections(dim))

    def attend(
        self,
        q_BHTK: Tensor,
        kv_BTK: Tensor,
        entry_BTE: Tensor,
        gate_BTE: Tensor,
        index_q_BITX: Tensor,
        index_weight_BIT: Tensor,
        index_BTE: Tensor,
        index_gate_BTE: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        """The first queries see all entries before them. Right padding: no real query sees it."""
        entry_BZK = self.entries(self.compressor, entry_BTE, gate_BTE)
        T, late = kv_BTK.shape[1], self.ratio * (self.top + 1) - 1
        early = q_BHTK[:, :, :late].transpose(1, 2), kv_BTK[:, :late], entry_BZK[:, : self.top]
        y_BTHK = near_and_before(*early, ratio=self.ratio, window=self.window, sink_H=self.sink_H)
        if late < T:
            with torch.no_grad():
                key_BZX = self.entries(self.indexer, index_BTE, index_gate_BTE)
            of_index = index_q_BITX, key_BZX, index_weight_BIT
            choice_BTN = choose(self.top, *of_index, ratio=self.ratio)
            rest = q_BHTK[:, :, late:], kv_BTK, entry_BZK, choice_BTN
            late_BTHK = near_and_chosen(*rest, window=self.window, sink_H=self.sink_H)
            y_BTHK = torch.cat([y_BTHK, late_BTHK], dim=1)
        return self.turned(y_BTHK, slice(0, T), back=True).transpose(1, 2)

    def init_state(self, batch: int, context: int) -> Recent:
        index = Entries.init(self, self.indexer, batch, context)
        return replace(super().init_state(batch, context), index=index)

    def step(
        self,
        q_BHK: Tensor,
        kv_BK: Tensor,
        entry_BE: Tensor,
        gate_BE: Tensor,
        index_q_BIX: Tensor,
        index_weight_BI: Tensor,
        index_BE: Tensor,
        index_gate_BE: Tensor,
        state: Recent,
    ) -> tuple[Tensor, Recent]:
        position, state = state.length, state.append(kv_BK)
        assert state.index is not None
        before_BZK = self.take_up(self.compressor, state.entries, entry_BE, gate_BE, position)
        key_BZX = self.take_up(self.indexer, state.index, index_BE, index_gate_BE, position)
        if before_BZK.shape[1] > self.top:
            choice_BN = choose_now(self.top, index_q_BIX, key_BZX, index_weight_BI)
            sequence_B1 = torch.arange(len(choice_BN), device=choice_BN.device)[:, None]
            before_BZK = before_BZK[sequence_B1, choice_BN]
        return self.from_rows(q_BHK, [state.near, before_BZK], position), state
