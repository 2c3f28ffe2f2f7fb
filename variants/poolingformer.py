"""Poolingformer: a sliding window, then a wider one over pooled keys and values."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported, merge_heads
from effattn_cli.parts.banded import banded
from effattn_cli.parts.pooling import (
    by_place,
    convolved,
    in_order,
    maximum,
    mean,
    mixture,
    present,
    stretches,
)


@final
class Poolingformer(Attention):
    """Two levels of attention, y + z: over near tokens individually, and over far ones pooled.

    y is attention in the window W. Its rows are projected again to q', k' and v'; k' and v' are
    pooled over stretches of S tokens, one every X tokens, and z is the attention of q' to the
    pooled ones within the window W' (Poolingformer, Zhang et al. 2021, arXiv:2105.04371).
    W: window, W': pool_window, S: pool_size, X: pool_stride.
    """

    card = Card(
        title="Poolingformer",
        families=("fixed-pattern", "memory"),
        paper="arXiv:2105.04371",
        year=2021,
        time="N",
        memory="N",
        causal="never",
        kind="own mechanism",
        survey=SurveyRow(complexity="N", decode=False, classes="FP+M"),
        notes=(
            "there is no code of the authors: windows are taken as whole widths, half on either"
            " side, and pool_size and pool_stride are from secondary sources",
            "stretches begin at multiples of X for all queries; the paper's begin at each query's"
            " window. A query sees those whose number is at most W' / 2X from its own t // X",
            "ldconv: the weights of a stretch are the softmax of a linear map of all its tokens,"
            " one map for keys and one for values a head",
            "the paper uses the second level in some layers only; here it is in each",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        window: int = 128
        """Keys in the first level's window, half on either side."""
        pool_window: int = 512
        """Tokens in the second level's window."""
        pool_size: int = 5
        """Tokens that are pooled into one (kappa in the paper)."""
        pool_stride: int = 4
        """Tokens from one stretch to the next (xi in the paper)."""
        pooling: Literal["mean", "max", "ldconv"] = "ldconv"
        """How: ldconv is the paper's lightweight dynamic convolution."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.window < 2 or config.window % 2:
            raise Unsupported(f"window {config.window} is not a positive even number")
        for name in ("pool_window", "pool_size", "pool_stride"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.pooling not in {"mean", "max", "ldconv"}:
            raise Unsupported(f"pooling {config.pooling!r} is neither mean, max nor ldconv")
        self.near = config.window // 2
        self.size, self.stride = config.pool_size, config.pool_stride
        self.far = config.pool_window // (2 * config.pool_stride)
        self.pooling = config.pooling
        wide = self.heads * self.head_dim
        self.again = nn.ModuleDict({name: nn.Linear(wide, wide, bias=False) for name in "qkv"})
        if config.pooling == "ldconv":
            self.mix_k_HJS, self.mix_v_HJS = self._map(), self._map()

    def _map(self) -> nn.Parameter:
        width = self.size * self.head_dim
        return nn.Parameter(torch.randn(self.heads, width, self.size) * width**-0.5)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T = q_BHTK.shape[2]
        y_BHTK = banded(q_BHTK, k_BHTK, v_BHTK, valid_BT, before=self.near, after=self.near)
        y_BTE = merge_heads(y_BHTK)
        q_BHTK, k_BHTK, v_BHTK = (self.split("q", self.again[name](y_BTE)) for name in "qkv")
        k_BHZK, v_BHZK = self._pool(k_BHTK, "k", valid_BT), self._pool(v_BHTK, "v", valid_BT)
        # Right padding: a stretch holds a real token if its first one is real.
        some_BZ = None if valid_BT is None else valid_BT[:, :: self.stride]
        q_BFZK = by_place(q_BHTK, self.stride)
        z_BFZK = banded(q_BFZK, k_BHZK, v_BHZK, some_BZ, before=self.far, after=self.far)
        return y_BHTK + in_order(z_BFZK, self.stride, T)

    def _pool(self, x_BHTK: Tensor, name: str, valid_BT: Tensor | None) -> Tensor:
        T = x_BHTK.shape[2]
        x_BHZSK = stretches(x_BHTK, self.size, self.stride, valid_BT)
        there_BxZS = present(T, self.size, self.stride, valid_BT, like=x_BHTK)
        if self.pooling == "mean":
            return mean(x_BHZSK, there_BxZS)
        if self.pooling == "max":
            return maximum(x_BHZSK, there_BxZS)
        logits_BHZS = convolved(x_BHZSK, self.get_parameter(f"mix_{name}_HJS"))
        return mixture(x_BHZSK, there_BxZS, logits_BHZS.unsqueeze(3)).squeeze(3)
