"""Long-Short Transformer: a sliding window, and keys pooled by input-dependent weights."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported, merge_heads
from effattn_cli.parts.blocks import even, sliding
from effattn_cli.parts.exact import exact
from effattn_cli.parts.lse_merge import Part, Source, hide, union
from effattn_cli.parts.pooling import NearAndMixed, mixture, present, stretches


@final
class LongShortTransformer(Decodable[NearAndMixed]):
    """One softmax over the keys nearby and over R keys that are mixtures of all.

    A segment of W queries sees its own tokens and W / 2 on either side, and P^T K, P^T V, where P
    is a softmax over the length. Two LayerNorms, one for near keys and values and one for the
    mixtures, align their scales (Long-Short Transformer, Zhu et al. 2021, arXiv:2107.02192).
    W: window, R: rank.
    """

    card = Card(
        title="Long-Short Transformer",
        families=("fixed-pattern", "low-rank"),
        paper="arXiv:2107.02192",
        year=2021,
        time="N",
        memory="N",
        state="w + k",
        causal="optional",
        kind="own mechanism",
        survey=SurveyRow(complexity="k N", decode=True, classes="FP+LR"),
        notes=(
            "the logits of P are a linear map of all heads' keys; of the input in the paper, which"
            " is the same where the key projection is square; their bias would cancel",
            "causal: a query sees the last W tokens, and one mixture of each chunk before its own",
            "causal: by default there are R chunks however long the input, for time N; with the"
            " authors' chunks of 16 tokens it is N^2 / 16",
            "keys and values are mixed first and normalised then, as in the paper; the authors'"
            " code for the Long Range Arena normalises before too",
            "no relative positions; W is that of the authors' language models, R that of the LRA",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        window: int = 512
        """Queries of a segment; causal, the tokens that each query sees."""
        rank: int = 32
        """Mixtures of the whole input."""
        chunk: int | None = None
        """Causal: tokens that become one mixture; by default the longest input / rank."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.window < 2 or config.window % 2:
            raise Unsupported(f"window {config.window} is not a positive even number")
        for name, value in (("rank", config.rank), ("chunk", config.chunk)):
            if value is not None and value < 1:
                raise Unsupported(f"{name} {value} is below 1")
        self.window, self.rank = config.window, 1 if config.causal else config.rank
        self.chunk = self.period = config.chunk or -(-config.tokens // config.rank)
        wide = self.heads * self.head_dim
        self.logits = nn.Linear(wide, self.heads * self.rank, bias=False)
        self.near_norm, self.far_norm = nn.LayerNorm(wide), nn.LayerNorm(wide)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        B, H, T, _ = q_BHTK.shape
        valid_BT = None if self.causal else valid_BT  # right padding: no real query sees it
        size = self.chunk if self.causal else T
        logits_BTHR = self.logits(merge_heads(k_BHTK)).view(B, T, H, -1)
        logits_BHZRS = stretches(logits_BTHR.transpose(1, 2), size).mT
        there_BxZS = present(T, size, valid_BT=valid_BT, like=q_BHTK)

        def mixed(x_BHTK: Tensor) -> Tensor:
            x_BHZRK = mixture(stretches(x_BHTK, size, valid_BT=valid_BT), there_BxZS, logits_BHZRS)
            return self._norm(self.far_norm, x_BHZRK.flatten(2, 3))

        near = self._norm(self.near_norm, k_BHTK), self._norm(self.near_norm, v_BHTK)
        three = q_BHTK, near, (mixed(k_BHTK), mixed(v_BHTK))
        return self._causal(*three) if self.causal else self._centred(*three, valid_BT)

    def _norm(self, norm: nn.Module, x_BHTK: Tensor) -> Tensor:
        return self.split("q", norm(merge_heads(x_BHTK)))

    def _causal(self, q_BHTK: Tensor, near: Source, far: Source) -> Tensor:
        T, window = q_BHTK.shape[2], min(self.window, q_BHTK.shape[2])
        q_BHTK, near = even(q_BHTK, window), (even(near[0], window), even(near[1], window))
        at_T1 = torch.arange(q_BHTK.shape[2], device=q_BHTK.device)[:, None]
        unmade_TF = at_T1 // self.chunk <= torch.arange(far[0].shape[2], device=q_BHTK.device)
        parts = [*sliding(q_BHTK, window), Part(source=1, mask=hide(unmade_TF, q_BHTK))]
        return union(q_BHTK, [near, far], parts)[:, :, :T]

    def _centred(
        self, q_BHTK: Tensor, near: Source, far: Source, valid_BT: Tensor | None
    ) -> Tensor:
        """All queries of a segment see the same near keys."""
        B, H, T, K = q_BHTK.shape
        window, segments = min(self.window, T), -(-T // self.window)

        def around(x_BHTE: Tensor) -> Tensor:
            x_BHTE = pad(x_BHTE, (0, 0, window // 2, 0))
            return stretches(x_BHTE, 2 * window, window)[:, :, :segments]

        def slots(near_BHTK: Tensor, far_BHFK: Tensor) -> Tensor:
            far_BHZFK = far_BHFK.unsqueeze(2).expand(-1, -1, segments, -1, -1)
            return _folded(torch.cat([around(near_BHTK), far_BHZFK], dim=3))

        real_BHT1 = present(T, 1, valid_BT=valid_BT, like=q_BHTK).expand(B, H, -1, -1)
        seen_ZPxS = pad(_folded(around(real_BHT1)).mT, (0, far[0].shape[2]), value=True)
        k_ZPSK, v_ZPSK = (slots(*both) for both in zip(near, far, strict=True))
        q_ZPCK = _folded(stretches(q_BHTK, window))
        out_ZPCK = scaled_dot_product_attention(q_ZPCK, k_ZPSK, v_ZPSK, seen_ZPxS)
        return out_ZPCK.transpose(0, 1).reshape(B, H, -1, K)[:, :, :T]

    def init_state(self, batch: int, context: int) -> NearAndMixed:
        far = max(self.config.tokens, context + 1) // self.chunk
        return NearAndMixed.init(self, batch, context, far=far, near=self.window)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: NearAndMixed
    ) -> tuple[Tensor, NearAndMixed]:
        t, far, chunks = state.length, state.far, state.length // self.chunk
        self._store(state, far + t % self.window, self.near_norm, k_BHK, v_BHK)
        filled = slice(far - chunks, far + min(t + 1, self.window))
        kept = state.k_BHRK[:, :, filled], state.v_BHRK[:, :, filled]
        y_BHK = exact(q_BHK.unsqueeze(2), *kept).squeeze(2)
        logit_BH1 = self.logits(k_BHK.flatten(1)).unsqueeze(2)
        state = state.add(torch.cat([k_BHK, v_BHK], dim=2), logit_BH1)
        if (t + 1) % self.chunk == 0:
            mixed_BHE, state = state.close()
            self._store(state, far - 1 - chunks, self.far_norm, *mixed_BHE.chunk(2, dim=2))
        return y_BHK, state

    def _store(
        self, state: NearAndMixed, slot: int, norm: nn.Module, k_BHK: Tensor, v_BHK: Tensor
    ) -> None:
        for kept_BHRK, x_BHK in ((state.k_BHRK, k_BHK), (state.v_BHRK, v_BHK)):
            kept_BHRK[:, :, slot] = self._norm(norm, x_BHK.unsqueeze(2)).squeeze(2)


def _folded(x_BHZCE: Tensor) -> Tensor:
    return x_BHZCE.flatten(0, 1).transpose(0, 1)
