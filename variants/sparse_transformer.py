"""Sparse Transformer: two sparse key sets that together connect all tokens."""

import math
from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.blocks import even
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.lse_merge import Part, hide, union
from effattn_cli.parts.rotary import Rotary

CHUNKS = 8  # of queries, at least, that see all earlier summaries without a mask


@final
class SparseTransformer(Rotary, Decodable[Cache]):
    """Each query sees about sqrt N near keys and sqrt N far ones, in one softmax over both sets.

    With stride L, query i sees the keys j <= i of its block of L and the last C of each block
    ("fixed"), or those with i - j < L and those where i - j is a multiple of L ("strided")
    (Generating Long Sequences with Sparse Transformers, Child et al. 2019, arXiv:1904.10509).
    """

    card = Card(
        title="Sparse Transformer",
        families=("fixed-pattern",),
        paper="arXiv:1904.10509",
        year=2019,
        time="N sqrt N",
        memory="N",
        state="sqrt N",
        causal="always",
        kind="approximates softmax",
        swap="lossy",
        knobs={"stride": "N"},
        aliases=("strided",),
        survey=SurveyRow(complexity="N sqrt N", decode=True, classes="FP"),
        lra=51.24,
        notes=(
            "one head sees the union of both sets, each key once, as in the paper's enwik8 model;"
            " the survey describes heads split in two, and N log N in its text",
            "fixed: heads take different runs of C tokens in a block in turn, which the paper found"
            " better than the last C for all",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        pattern: Literal["fixed", "strided"] = "fixed"
        """The far keys: fixed for text, strided for images and other periodic data."""
        stride: int | None = None
        """L in the paper; by default the power of 2 nearest to sqrt N, as its 128 at 12,288; of two
        the larger, which is faster."""
        summary: int = 8
        """Tokens of a block that all later blocks see, at most L; the paper has 8 to 32."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.pattern not in {"fixed", "strided"}:
            raise Unsupported(f"pattern {config.pattern!r} is neither fixed nor strided")
        if config.stride is not None and config.stride < 1:
            raise Unsupported(f"stride {config.stride} is below 1")
        if config.summary < 1:
            raise Unsupported(f"summary {config.summary} is below 1")
        self.fixed = config.pattern == "fixed"
        self.stride = self.period = config.stride or 2 ** int((math.log2(config.tokens) + 1) / 2)
        self.summary = min(config.summary, self.stride)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T = q_BHTK.shape[2]  # right padding: no real query sees it
        group = max(1, -(-T // self.stride) // CHUNKS) if self.fixed else 1  # blocks per chunk
        q, k, v = (even(x, group * self.stride) for x in (q_BHTK, k_BHTK, v_BHTK))
        out_BHTK = self._fixed(q, k, v, group) if self.fixed else self._strided(q, k, v)
        return out_BHTK[:, :, :T]

    def _strided(self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
        L, blocks = self.stride, q_BHTK.shape[2] // self.stride
        parts = [Part(blocks=blocks, causal=True)]
        if blocks > 1:
            later, earlier = (L, None), (0, -L)
            # In the previous block, the window covers the positions after the query's own.
            at_L = torch.arange(L, device=q_BHTK.device)
            window = hide(at_L <= at_L[:, None], q_BHTK)[None, None]
            parts.append(Part(later, earlier, blocks=blocks - 1, mask=window))
            parts.append(Part(later, earlier, columns=L, causal=True))
        return union(q_BHTK, [(k_BHTK, v_BHTK)], parts)

    def _fixed(self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, group: int) -> Tensor:
        chunk, far = group * self.stride, group * self.summary
        chunks = q_BHTK.shape[2] // chunk
        parts = [Part(blocks=chunks * group, causal=True)]
        if group > 1:
            query_T = torch.arange(chunk, device=q_BHTK.device) // self.stride
            key_S = torch.arange(far, device=q_BHTK.device) // self.summary
            within = hide(key_S >= query_T[:, None], q_BHTK)[None, None]
            parts.append(Part(blocks=chunks, source=1, mask=within))
        parts += [
            Part((i * chunk, (i + 1) * chunk), (0, i * far), source=1) for i in range(1, chunks)
        ]
        summaries = self._summaries(k_BHTK), self._summaries(v_BHTK)
        return union(q_BHTK, [(k_BHTK, v_BHTK), summaries], parts)

    def _summaries(self, x_BHTK: Tensor) -> Tensor:
        B, H, _, K = x_BHTK.shape
        x_BZLHK = x_BHTK.transpose(1, 2).reshape(B, -1, self.stride, H, K)
        head_H1, at_HC = self._columns(x_BHTK.device)
        return x_BZLHK[:, :, at_HC.mT, head_H1.mT].flatten(1, 2).transpose(1, 2)

    def _columns(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The heads (H, 1), and the positions of their summaries within a block (H, C)."""
        head_H1 = torch.arange(self.heads, device=device)[:, None]
        first_H1 = self.stride - self.summary * (1 + head_H1 % (self.stride // self.summary))
        return head_H1, first_H1 + torch.arange(self.summary, device=device)

    def init_state(self, batch: int, context: int) -> Cache:
        """Strided keeps every token; fixed keeps the current block, followed by the summaries.

        The block is stored backwards, so that everything a query sees is contiguous.
        """
        room = max(self.config.tokens, context + 1)
        if self.fixed:
            room = self.stride + -(-room // self.stride) * self.summary
        shape = (batch, self.heads, room, self.head_dim)
        return Cache(self.blank(*shape, random=True), self.blank(*shape, random=True), context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        L, block, rest = self.stride, *divmod(state.length, self.stride)
        q_BHxK, kept = q_BHK.unsqueeze(2), (state.k_BGRK, state.v_BGRK)
        if not self.fixed:
            state = state.append(k_BHK, v_BHK)
            near = slice(max(0, state.length - L), state.length)
            seen = [torch.cat([x[:, :, rest : near.start : L], x[:, :, near]], 2) for x in kept]
            return exact(q_BHxK, *seen).squeeze(2), state
        first, end = L - 1 - rest, L + block * self.summary
        for x_BHRK, new_BHK in zip(kept, (k_BHK, v_BHK), strict=True):
            x_BHRK[:, :, first] = new_BHK
            if first == 0:
                head_H1, at_HC = self._columns(x_BHRK.device)
                x_BHRK[:, :, end : end + self.summary] = x_BHRK[:, head_H1, L - 1 - at_HC]
        y_BHxK = exact(q_BHxK, *(x_BHRK[:, :, first:end] for x_BHRK in kept))
        return y_BHxK.squeeze(2), replace(state, length=state.length + 1)
