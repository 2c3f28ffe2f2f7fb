"""Sinkhorn Transformer: local attention, and attention to a learned sorting of the blocks."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.blocks import near_root, within
from effattn_cli.parts.clusters import hiding
from effattn_cli.parts.exact import exact
from effattn_cli.parts.precision import wide
from effattn_cli.parts.sinkhorn import (
    FAINT,
    Balance,
    SortedBlocks,
    SortingNetwork,
    beside,
    mixed,
    shares,
)


@final
class SinkhornTransformer(Decodable[SortedBlocks]):
    """Each block attends to itself and to a mix of all blocks by a doubly stochastic matrix R.

    S_i = F(sum of [q, k] in block i) with F a two-layer ReLU network,
    R = Sinkhorn(S / temperature), and block i attends to [sum_j R_ij K_j ; K_i] by
    softmax(q k / sqrt K) (Sparse Sinkhorn Attention, Tay et al. 2020, arXiv:2002.11296).
    C: block_size, tokens per block.
    """

    card = Card(
        title="Sinkhorn Transformer",
        families=("learnable-pattern",),
        paper="arXiv:2002.11296",
        year=2020,
        time="N sqrt N",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        aliases=("sinkhorn",),
        survey=SurveyRow(complexity="B^2", decode=True, classes="LP"),
        lra=51.39,
        notes=(
            "the survey's B^2 leaves out the number of blocks: N C + N^2 / C, N sqrt N at best",
            "the sorting network sees the sums of queries and keys, which stand for those of x;"
            " each head has its own",
            "no Gumbel noise: the authors add it to S in training",
            "one softmax goes over the sorted block and the own one, which the paper adds",
            "a sorted token counts by the share of R that falls on real tokens",
            "causal: S_i sees the tokens up to the first of block i, R_ij is 0 for j >= i, and the"
            " sum of a column goes over the rows up to i, so that nothing later is seen",
            "a decoding step that opens a block sorts anew, and reads all tokens",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        block_size: int | None = None
        """Tokens of a block; by default about sqrt N, N being the longest length."""
        iterations: int = 8
        """Times that rows and columns are balanced."""
        temperature: float = 0.75
        """Divides the sorting logits: the lower, the nearer to a permutation."""
        sortcut: int = 0
        """If not 0, all queries attend the first so many sorted blocks, and nothing else."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.block = self.period = config.block_size or near_root(config.tokens)
        for name, minimum in (("block_size", 1), ("iterations", 1), ("sortcut", 0)):
            given = getattr(config, name)
            if given is not None and given < minimum:
                raise Unsupported(f"{name} {given} is below {minimum}")
        if config.temperature <= 0:
            raise Unsupported(f"temperature {config.temperature} is not above 0")
        if config.sortcut and config.causal:
            raise Unsupported(f"{self.card.title} with sortcut cannot be causal")
        self.sortcut, self.blocks = config.sortcut, -(-config.tokens // self.block)
        balance = Balance(config.iterations, config.temperature, causal=config.causal)
        self.sort = SortingNetwork(self.heads, self.head_dim, self.blocks, balance)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T = q_BHTK.shape[2]
        if self.causal:  # right padding: neither real queries nor their sums see it
            valid_BT = None
        elif valid_BT is None and T % self.block:
            valid_BT = torch.ones(1, T, dtype=torch.bool, device=q_BHTK.device)
        q, k, v = (self._cut(x) for x in (q_BHTK, k_BHTK, v_BHTK))  # (B, H, Z, C, K)
        valid_BxZC, mask = None, self._past(q) if self.causal else None
        if valid_BT is not None:
            valid_BxZC = self._cut(valid_BT[:, None, :, None]).squeeze(-1)
            k, v = (x.masked_fill(~valid_BxZC.unsqueeze(-1), 0) for x in (k, v))
        sort_BHYZ = self.sort(q, k, valid_BxZC)[:, :, : self.sortcut or None]
        sees = mixed if self.sortcut else beside
        k, v = sees(sort_BHYZ, k), sees(sort_BHYZ, v)  # (B, H, Y, S, K)
        if valid_BxZC is not None:
            share_BHYS1 = shares(sort_BHYZ, valid_BxZC, own=not self.sortcut)
            whole_BHYS1 = share_BHYS1.masked_fill(share_BHYS1 <= FAINT, 1)  # FAINT may be 0 in x
            k, v = (x / whole_BHYS1.to(x.dtype) for x in (k, v))
            mask = (share_BHYS1.log().to(q.dtype) + hiding(share_BHYS1 > FAINT, q)).flatten(0, 1).mT
        if self.sortcut:
            mask = None if mask is None else mask.view(len(q), self.heads, 1, -1)
            k, v = k.flatten(2, 3), v.flatten(2, 3)
            return scaled_dot_product_attention(q_BHTK, k, v, attn_mask=mask)
        q_PZCK, k_PZSK, v_PZSK = (x.flatten(0, 1) for x in (q, k, v))
        out = within(q_PZCK, k_PZSK, v_PZSK, mask)
        return out.reshape(*q_BHTK.shape[:2], -1, self.head_dim)[:, :, :T]

    def _cut(self, x_BHTE: Tensor) -> Tensor:
        B, H, T, E = x_BHTE.shape
        x_BHTE = pad(x_BHTE, (0, 0, 0, -T % self.block)) if T % self.block else x_BHTE
        return x_BHTE.view(B, H, -1, self.block, E)

    def _past(self, q_BHZCK: Tensor) -> Tensor:
        """Hides later tokens, and the missing block before block 0 (1, Z, C, S)."""
        Z, C = q_BHZCK.shape[2:4]
        seen_ZCS = torch.ones(Z, C, 2 * C, dtype=torch.bool, device=q_BHZCK.device).tril(C)
        seen_ZCS[0, :, :C] = False
        return hiding(seen_ZCS, q_BHZCK).unsqueeze(0)

    def init_state(self, batch: int, context: int) -> SortedBlocks:
        return SortedBlocks.init(self, batch, context, self.blocks, self.block)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: SortedBlocks
    ) -> tuple[Tensor, SortedBlocks]:
        block, position = divmod(state.length, self.block)
        state.row_BHSE[:, :, state.length] = torch.cat([k_BHK, v_BHK], dim=-1)
        sum_BHE = state.sum_BHE + wide(torch.cat([q_BHK, k_BHK], dim=-1))
        near_BHCE = state.near_BHCE
        if block and not position:
            logits_BHxZ = self.sort.logits(sum_BHE.unsqueeze(2), block)
            state.logits_BHZZ[:, :, block - 1 : block, :block] = logits_BHxZ
            sort_BHZZ = self.sort.past(state.logits_BHZZ[:, :, :block, :block])
            before_BHZCE = self._cut(state.row_BHSE[:, :, : block * self.block])
            near_BHCE = mixed(sort_BHZZ[:, :, -1:], before_BHZCE)[:, :, 0]
        own_BHCE = state.row_BHSE[:, :, block * self.block : state.length + 1]
        seen_BHSE = torch.cat([near_BHCE, own_BHCE], dim=2) if block else own_BHCE
        y_BHK = exact(q_BHK.unsqueeze(2), *seen_BHSE.chunk(2, dim=-1)).squeeze(2)
        return y_BHK, replace(state, sum_BHE=sum_BHE, near_BHCE=near_BHCE, length=state.length + 1)
