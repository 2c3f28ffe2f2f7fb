"""Axial Transformer: attention along the rows of a grid, then along its columns."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.blocks import (
    even,
    fold,
    fold_columns,
    key_mask,
    near_root,
    unfold,
    unfold_columns,
)
from effattn_cli.parts.exact import exact


@dataclass(frozen=True)
class Grid:
    """Decoding state: keys and row-mixed values of every token, and the current row."""

    k_BHRK: Tensor  # of every token so far
    mixed_BHRK: Tensor  # values mixed by attention along whole rows
    q_BHWK: Tensor  # of the current row so far
    v_BHWK: Tensor
    above_BHWK: Tensor  # what the rows above contribute to each position of the row
    length: int


@final
class AxialTransformer(Decodable[Grid]):
    """Lays the tokens out as a grid of about sqrt N by sqrt N and attends along one axis at a time.

    With attention R along rows and C along columns, out = C(R(v)): two steps connect all tokens.
    Causal: out = R'(v + shift(C'(R(v)))) with R' and C' causal and a shift down by one row, so that
    a query sees all rows above, and its own row up to itself (Axial Attention in Multidimensional
    Transformers, Ho et al. 2019, arXiv:1912.12180).
    """

    card = Card(
        title="Axial Transformer",
        families=("fixed-pattern",),
        paper="arXiv:1912.12180",
        year=2019,
        time="N sqrt N",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        aliases=("axial",),
        survey=SurveyRow(complexity="N sqrt N", decode=True, classes="FP"),
        notes=(
            "the paper's row and column attention are layers of their own, in stacks; here they are"
            " one layer, and share its queries and keys",
            "causal: the paper's outer decoder (whole rows, then masked columns, shifted down) and"
            " inner decoder (masked rows); it also shifts its input right by one, to predict it",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        width: int | None = None
        """Tokens of a row; by default about sqrt N, N being the longest length."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.width is not None and config.width < 1:
            raise Unsupported(f"width {config.width} is below 1")
        self.width = self.period = config.width or near_root(config.tokens)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T, W = q_BHTK.shape[2], self.width
        q_BHTK, k_BHTK, v_BHTK = (even(x, W) for x in (q_BHTK, k_BHTK, v_BHTK))
        if not self.causal:
            mask = key_mask(q_BHTK, T, valid_BT)
            mixed_BHTK = self._rows(q_BHTK, k_BHTK, v_BHTK, mask)
            return self._columns(q_BHTK, k_BHTK, mixed_BHTK, mask)[:, :, :T]
        # Right padding: the rows above a real query have none.
        if T > W:
            q_up, k_up, v_up = (x[:, :, :-W] for x in (q_BHTK, k_BHTK, v_BHTK))
            above_BHTK = self._columns(q_up, k_up, self._rows(q_up, k_up, v_up))
            v_BHTK = torch.cat([v_BHTK[:, :, :W], v_BHTK[:, :, W:] + above_BHTK], dim=2)
        return self._rows(q_BHTK, k_BHTK, v_BHTK, causal=True)[:, :, :T]

    def _rows(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        B, W = len(q), self.width
        if mask is not None:
            mask = mask.view(-1, 1, 1, W)
        q, k, v = fold(q, W), fold(k, W), fold(v, W)
        return unfold(scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal), B)

    def _columns(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        W = self.width
        if mask is not None:
            mask = fold_columns(mask[:, None, :, None].expand(-1, self.heads, -1, 1), W).mT
        q, k, v = fold_columns(q, W), fold_columns(k, W), fold_columns(v, W)
        out_BYRK = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return unfold_columns(out_BYRK, W)

    def init_state(self, batch: int, context: int) -> Grid:
        rows = -(-max(self.config.tokens, context + 1) // self.width)
        wide = (batch, self.heads, rows * self.width, self.head_dim)
        row = (batch, self.heads, self.width, self.head_dim)
        return Grid(
            self.blank(*wide, random=True),
            self.blank(*wide, random=True),
            self.blank(*row, random=True),
            self.blank(*row, random=True),
            self.blank(*row, random=context >= self.width),  # the first row has none above it
            context,
        )

    def step(self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Grid) -> tuple[Tensor, Grid]:
        position, W = state.length % self.width, self.width
        first, end = state.length - position, state.length + 1
        state.k_BHRK[:, :, state.length] = k_BHK
        state.q_BHWK[:, :, position] = q_BHK
        state.v_BHWK[:, :, position] = v_BHK
        v_BHSK = state.v_BHWK[:, :, : position + 1] + state.above_BHWK[:, :, : position + 1]
        y_BHxK = exact(q_BHK.unsqueeze(2), state.k_BHRK[:, :, first:end], v_BHSK)
        above_BHWK = self._above(state, first, end) if position == W - 1 else state.above_BHWK
        return y_BHxK.squeeze(2), replace(state, above_BHWK=above_BHWK, length=end)

    def _above(self, state: Grid, first: int, end: int) -> Tensor:
        """What a complete row and those above it contribute to the next row."""
        k_BHTK, mixed_BHTK = state.k_BHRK[:, :, :end], state.mixed_BHRK[:, :, :end]
        mixed_BHTK[:, :, first:] = exact(state.q_BHWK, k_BHTK[:, :, first:], state.v_BHWK)
        q, k, v = (fold_columns(x, self.width) for x in (state.q_BHWK, k_BHTK, mixed_BHTK))
        return unfold_columns(exact(q, k, v), self.width)
