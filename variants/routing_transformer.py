"""Routing Transformer: attention among the tokens nearest to each learned centroid."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.blocks import near_root
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.clusters import Members, hiding, nearest, normal
from effattn_cli.parts.hashing import add_back, take

CACHED, ROOM = 2**18, 2**26  # scores per piece: to fit in a CPU's caches, in a GPU's memory


@final
class RoutingTransformer(Decodable[Members]):
    """Each of C centroids takes the W tokens nearest to it, which attend to each other.

    Queries and keys are normalised (a layer norm without weights) and belong to the centroids with
    which they have the largest dot products; out_i is the mean of softmax(q_i k_j / sqrt K) v_j
    over the clusters of i (Efficient Content-Based Sparse Attention with Routing Transformers, Roy
    et al. 2020, arXiv:2003.05997). C: clusters, W: window.
    """

    card = Card(
        title="Routing Transformer",
        families=("learnable-pattern",),
        paper="arXiv:2003.05997",
        year=2020,
        time="N sqrt N",
        memory="N",
        state="N",
        causal="optional",
        kind="approximates softmax",
        survey=SurveyRow(complexity="N sqrt N", decode=True, classes="LP"),
        notes=(
            "the centres are drawn when the layer is made and stay; in the paper a moving average"
            " of the tokens nearest to them, and a loss, teach them in training",
            "a token in no cluster gets 0; one in several their mean (the authors add 0.01 below)",
            "logits are divided by sqrt K, and every head is routed; the authors' half of them",
            "causal without share_qk, positions are compared, and a cluster in which a query sees"
            " no key does not count; the authors' mask compares ranks, which leaks there",
            "a decoding step reads all tokens: it may enter any number of clusters",
        ),
        exempt={
            "causality": "values do not leak, but later tokens take places in the clusters",
            "decoding": "a step sees the clusters of the tokens so far; later ones take places",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        clusters: int | None = None
        """Centres a head; by default about sqrt N, N being the longest length, as in the paper."""
        window: int | None = None
        """Tokens of a cluster; by default N / clusters."""
        share_qk: bool | None = None
        """Queries serve as keys; by default where causal, as the authors have it."""

    def __init__(self, config: Config) -> None:
        self.share_qk = config.causal if config.share_qk is None else config.share_qk
        super().__init__(config)
        for name in ("clusters", "window"):
            given = getattr(config, name)
            if given is not None and given < 1:
                raise Unsupported(f"{name} {given} is below 1")
        clusters = config.clusters or -(-config.tokens // near_root(config.tokens))
        self.window = config.window or -(-config.tokens // clusters)
        self.centre_HCK: Tensor
        self.register_buffer("centre_HCK", normal(torch.randn(self.heads, clusters, self.head_dim)))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made = super().make_projections(dim)
        return {name: made[name] for name in made if name != "k" or not self.share_qk}

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        if not self.share_qk:
            return super().project(x_BTD)
        q_BHTK, v_BGTK = (self.split(name, self.projections[name](x_BTD)) for name in "qv")
        return q_BHTK, q_BHTK, v_BGTK

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        B, H, T, _ = q_BHTK.shape
        centre_HCK = self.centre_HCK.to(torch.promote_types(q_BHTK.dtype, torch.float32))
        q_GTK = normal(q_BHTK).flatten(0, 1)
        whole = [
            q_GTK,
            q_GTK if self.share_qk else normal(k_BHTK).flatten(0, 1),
            v_BHTK.flatten(0, 1),
            centre_HCK.expand(B, -1, -1, -1).flatten(0, 1),
            *([] if valid_BT is None else [valid_BT.repeat_interleave(H, dim=0)]),
        ]
        maximum = CACHED if pieces_pay(q_BHTK) else ROOM
        group = max(1, maximum // (centre_HCK.shape[1] * T))
        parts = zip(*(torch.split(x, group) for x in whole), strict=True)
        return torch.cat([self._routed(*part) for part in parts]).view_as(q_BHTK)

    def _routed(
        self,
        q_GTK: Tensor,
        k_GTK: Tensor,
        v_GTK: Tensor,
        centre_GCK: Tensor,
        valid_GT: Tensor | None = None,
    ) -> Tensor:
        members = min(self.window, q_GTK.shape[1])
        key_GCW = nearest(k_GTK, centre_GCK, members, valid_GT)
        k_GCWK, v_GCWK = (take(x.to(v_GTK.dtype), key_GCW) for x in (k_GTK, v_GTK))
        query_GCW, q_GCWK = key_GCW, k_GCWK
        if not self.share_qk:
            query_GCW = nearest(q_GTK, centre_GCK, members, valid_GT)
            q_GCWK = take(q_GTK.to(v_GTK.dtype), query_GCW)
        mask, counts_GCW = None, torch.ones_like(q_GCWK[..., 0])
        # Positions ascend: with shared q and k, ranks order as positions do, and padding is last.
        in_order = self.causal and self.share_qk
        if self.causal and not self.share_qk:
            seen_GCWW = query_GCW.unsqueeze(-1) >= key_GCW.unsqueeze(-2)
            counts_GCW = seen_GCWW[..., 0].to(v_GTK.dtype)
            mask = hiding(seen_GCWW, v_GTK)
        elif valid_GT is not None and not self.causal:
            mask = hiding(take(valid_GT.unsqueeze(-1), key_GCW).mT, v_GTK)
        out_GCWK = scaled_dot_product_attention(q_GCWK, k_GCWK, v_GCWK, mask, is_causal=in_order)
        if self.causal and not self.share_qk:
            out_GCWK = out_GCWK * counts_GCW.unsqueeze(-1)
        sums_GTK, times_GT = (out_GCWK.new_zeros(s) for s in (v_GTK.shape, v_GTK.shape[:2]))
        add_back(sums_GTK, query_GCW, out_GCWK)
        times_GT.scatter_add_(1, query_GCW.flatten(1), counts_GCW.flatten(1))
        return sums_GTK / times_GT.clamp(min=1).unsqueeze(-1)

    def init_state(self, batch: int, context: int) -> Members:
        if not self.share_qk:
            raise Unsupported(f"{self.card.title} decodes only with share_qk")
        shape = (batch, self.heads, max(self.config.tokens, context + 1), self.head_dim)
        k_BHSK, v_BHSK = (self.blank(*shape, random=True) for _ in range(2))
        clusters = (self.centre_HCK.shape[1], self.window)
        return Members.init(normal(k_BHSK).to(k_BHSK.dtype), v_BHSK, clusters, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Members
    ) -> tuple[Tensor, Members]:
        q_BHK = normal(q_BHK)
        score_BHC = (self.centre_HCK.to(q_BHK.dtype) @ q_BHK.unsqueeze(-1)).squeeze(-1)
        enters_BHC, state = state.add(q_BHK.to(v_BHK.dtype), v_BHK, score_BHC)
        return state.attend(q_BHK * self.head_dim**-0.5, enters_BHC), state
