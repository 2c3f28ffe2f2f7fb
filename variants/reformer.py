"""Reformer: attention between tokens that hash to the same bucket."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.hashing import (
    CrossPolytope,
    Sorted,
    add_back,
    by_bucket,
    others,
    quotient,
    take,
    windows,
)
from effattn_cli.parts.precision import wide

CACHED = 2**20  # scores per piece, so that they fit in a CPU's caches


@final
class Reformer(Decodable[Sorted]):
    """Sorts tokens by a hash of their direction and attends between neighbours in that order.

    Queries double as keys. In each of R rounds a token attends to its chunk of C sorted tokens and
    the chunk before by softmax(q_i k_j / sqrt K) with k = q / |q|, to itself only if it sees
    nothing else; one softmax covers all rounds (Reformer, Kitaev et al. 2020, arXiv:2001.04451).
    """

    projects = ("q", "v")
    card = Card(
        title="Reformer",
        families=("learnable-pattern",),
        paper="arXiv:2001.04451",
        year=2020,
        time="N log N",
        memory="N",
        state="N",
        causal="optional",
        kind="approximates softmax",
        aliases=("lsh",),
        survey=SurveyRow(complexity="N log N", decode=True, classes="LP"),
        lra=50.67,
        notes=(
            "logits are q k / (|k| sqrt K) as in the paper; the authors' code has no 1 / sqrt K",
            "as in the authors' code, chunks are attended across the borders of buckets, and a pair"
            " that meets in several rounds counts in each; the paper masks and discounts these",
            "the first chunk sees no chunk before it; in the authors' code it sees the last one",
            "hashes are drawn once, when the layer is made, into 2 N / C buckets or up to twice as"
            " many, N being the longest, as products of hashes of at most 64 buckets",
            "weights are held against |q|, the most that a score can be, not against the highest"
            " score: beyond |q| of some 400 a token can lose all that it sees, in float32",
            "the reversible layers of the paper belong to the model",
        ),
        exempt={
            "causality": "values do not leak, but later tokens move the borders of the chunks",
            "decoding": "a step sees the chunks of the tokens so far; later ones move the borders",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        bucket_size: int = 64
        """Tokens of a chunk (m in the paper); a bucket holds half as many on average."""
        hashes: int = 4
        """Rounds, each with a hash of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("bucket_size", "hashes"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        self.chunk, self.hashes = config.bucket_size, config.hashes
        bits = max(1, math.ceil(math.log2(2 * config.tokens / self.chunk)))
        self.hash = CrossPolytope(self.head_dim, config.hashes, bits)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if q_BHTK.dtype == torch.float16:  # its range is too small for the weights
            return self.attend(q_BHTK.float(), k_BHTK.float(), v_BHTK.float(), valid_BT).half()
        B, H, T, _ = q_BHTK.shape
        chunk = min(self.chunk, T)
        bucket_BHRT = self.hash(q_BHTK)
        if valid_BT is not None:  # padding gets a bucket of its own, sorted last
            bucket_BHRT = bucket_BHRT.masked_fill(~valid_BT[:, None, None], self.hash.buckets)
        order_BHRT = by_bucket(pad(bucket_BHRT, (0, -T % chunk), value=self.hash.buckets))
        # Zeros to fill up the last chunk, and for the missing chunk before the first.
        rows_BHTE = pad(self._rows(q_BHTK, v_BHTK, valid_BT), (0, 0, 0, -T % chunk + 1))
        group = max(1, CACHED // (2 * chunk * T)) if pieces_pay(q_BHTK) else B * H
        parts = (torch.split(x.flatten(0, 1), group) for x in (rows_BHTE, order_BHRT))
        sums = [self._rounds(rows, order, chunk) for rows, order in zip(*parts, strict=True)]
        return quotient(torch.cat(sums)[:, :T].view(B, H, T, -1), v_BHTK)

    def _rows(self, q_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """The row that sorting moves per token: k; v and 1, zeros for padding; its logits' scale.

        The logit of i and j is k_i k_j times the scale of i, so it is at most the scale, which is
        subtracted. The scale includes log2 e: exp2 is faster than exp.
        """
        scale_BHT1 = q_BHTK.norm(dim=-1, keepdim=True) * (math.log2(math.e) * self.head_dim**-0.5)
        one_BHT1 = torch.ones_like(scale_BHT1)
        if valid_BT is not None:
            one_BHT1 = one_BHT1 * valid_BT[:, None, :, None]
            v_BHTK = v_BHTK * one_BHT1
        unit_BHTK = normalize(q_BHTK, dim=-1, eps=1e-6)
        return torch.cat([unit_BHTK, v_BHTK, one_BHT1, scale_BHT1], dim=-1)

    def _parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        return torch.split(rows, [self.head_dim, self.head_dim + 1, 1], dim=-1)

    def _rounds(self, rows_GTE: Tensor, order_GRT: Tensor, chunk: int) -> Tensor:
        """Sums of weighted values and of weights (G, T, K + 1) over all rounds."""
        G, T, _ = rows_GTE.shape
        total_GTE = rows_GTE.new_zeros(G, T, self.head_dim + 1)
        for order_GT in order_GRT.unbind(1):
            window_GZW = windows(order_GT, chunk, nothing=T - 1)
            unit_GZWK, value_GZWE, scale_GZW1 = self._parts(take(rows_GTE, window_GZW))
            scale_GZC1 = scale_GZW1[:, :, -chunk:]
            logits_GZCW = (unit_GZWK[:, :, -chunk:] * scale_GZC1) @ unit_GZWK.mT
            weights_GZCW = logits_GZCW.sub_(scale_GZC1.detach()).exp2_()
            weights_GZCW = weights_GZCW * others(window_GZW, causal=self.causal).to(rows_GTE.dtype)
            add_back(total_GTE, window_GZW[:, :, -chunk:], weights_GZCW @ value_GZWE)
        return total_GTE

    def init_state(self, batch: int, context: int) -> Sorted:
        shape = (batch, self.heads, max(self.config.tokens, context + 1), self.head_dim)
        rows_BHSE = self._rows(self.blank(*shape, random=True), self.blank(*shape, random=True))
        return Sorted.init(rows_BHSE, self.hash.buckets, self.hashes, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Sorted
    ) -> tuple[Tensor, Sorted]:
        q_BHxK, v_BHxK = q_BHK.unsqueeze(2), v_BHK.unsqueeze(2)
        row_BHxE = self._rows(q_BHxK, v_BHxK)
        bucket_BHRx = self.hash(q_BHxK)
        state = state.add(row_BHxE, bucket_BHRx)
        near_BHWE, other_BHW = state.near(bucket_BHRx, self.chunk)
        unit_BHxK, _, scale_BHx1 = self._parts(row_BHxE)
        unit_BHWK, value_BHWE, _ = self._parts(near_BHWE)
        logits_BHxW = (unit_BHxK * scale_BHx1) @ unit_BHWK.mT - scale_BHx1
        weights_BHxW = wide(logits_BHxW).exp2() * other_BHW.unsqueeze(2)
        return quotient(weights_BHxW @ wide(value_BHWE), v_BHxK).squeeze(2), state
