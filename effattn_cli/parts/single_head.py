"""Attention with one wide head in chunks; queries and keys are two scalings of one projection.

E width of queries and keys, C tokens of a chunk, X chunks of all sequences, P positions.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from effattn_cli.parts.precision import lowest, wide

Weights = Literal["softmax", "laplace"]
#: Parameters of the Laplace function, chosen to approximate squared ReLU.
MEAN, SPREAD = 0.5**0.5, (4 * math.pi) ** -0.5


class SharedHead(nn.Module):
    """o_i = sum over j of f(s_ij) v_j, over the chunk of C tokens that i is in, up to i if causal.

    z = silu(W a + b), q and k are z scaled and shifted channel by channel. f is the softmax of
    s_ij = q_i k_j / sqrt E + bias_(j - i), or the Laplace function (1 + erf((s - m) / t)) / 2 of
    s_ij = q_i k_j / n_i + bias_(j - i), n_i being how many keys i sees, m and t two constants.
    """

    def __init__(self, dim: int, width: int, *, chunk: int, weights: Weights, causal: bool) -> None:
        super().__init__()
        self.width, self.chunk, self.weights, self.causal = width, chunk, weights, causal
        self.shared = nn.Linear(dim, width)
        self.scale_2E = nn.Parameter(torch.randn(2, width))
        self.shift_2E = nn.Parameter(torch.zeros(2, width))
        #: From C - 1 tokens before to the token itself, or to C - 1 after.
        self.bias_P = nn.Parameter(0.02 * torch.randn(chunk if causal else 2 * chunk - 1))

    def queries_and_keys(self, a: Tensor) -> tuple[Tensor, Tensor]:
        z = silu(self.shared(a))
        q, k = (torch.addcmul(self.shift_2E[i], z, self.scale_2E[i]) for i in range(2))
        return q, k

    def forward(self, a_BTD: Tensor, v_BTV: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """(B, T, V); no real query sees padding."""
        B, T, _ = a_BTD.shape
        C = min(self.chunk, T)
        real_X1C = None
        if not self.causal and (valid_BT is not None or T % C):  # else right padding is unseen
            valid_BT = a_BTD.new_ones(1, T, dtype=torch.bool) if valid_BT is None else valid_BT
            real_X1C = _chunks(valid_BT.expand(B, -1).unsqueeze(2), C).mT
        q_XCE, k_XCE, v_XCV = (_chunks(x, C) for x in (*self.queries_and_keys(a_BTD), v_BTV))
        q_XCE = q_XCE * self._scale(C, q_XCE, real_X1C)
        scores_XCC = torch.baddbmm(self._biases(C), q_XCE, k_XCE.mT)
        if real_X1C is not None:
            scores_XCC = scores_XCC.masked_fill(~real_X1C, lowest(scores_XCC) / 2)
        return (self._weigh(scores_XCC) @ v_XCV).view(B, -1, v_BTV.shape[2])[:, :T]

    def one(self, q_BE: Tensor, k_BSE: Tensor, v_BSV: Tensor) -> Tensor:
        """The output for the last of S tokens of a chunk, (B, V)."""
        S = k_BSE.shape[1]
        scale = 1 / S if self.weights == "laplace" else q_BE.shape[1] ** -0.5
        bias_S = self.bias_P[self.chunk - S : self.chunk]
        scores_BxS = (q_BE * scale).unsqueeze(1) @ k_BSE.mT + bias_S
        return (self._weigh(scores_BxS) @ v_BSV).squeeze(1)

    def _scale(self, C: int, q_XCE: Tensor, real_X1C: Tensor | None) -> Tensor | float:
        if self.weights == "softmax":
            return float(q_XCE.shape[2] ** -0.5)
        if real_X1C is None and not self.causal:
            return 1 / C
        if real_X1C is None:
            seen = torch.arange(1, C + 1, device=q_XCE.device).unsqueeze(1)
        else:
            seen = real_X1C.sum(2, keepdim=True).clamp(min=1)
        return seen.to(wide(q_XCE[:0]).dtype).reciprocal().to(q_XCE.dtype)

    def _biases(self, C: int) -> Tensor:
        """The bias of query i and key j, (C, C); causally hidden pairs are masked."""
        bias_P = pad(self.bias_P, (0, self.chunk - 1)) if self.causal else self.bias_P
        rows_CC = bias_P[self.chunk - C : self.chunk + C - 1].unfold(0, C, 1).flip(0)
        if not self.causal:
            return rows_CC
        later_CC = torch.ones(C, C, dtype=torch.bool, device=rows_CC.device).triu_(1)
        return rows_CC.masked_fill(later_CC, lowest(rows_CC) / 2)

    def _weigh(self, scores_XCC: Tensor) -> Tensor:
        exact = wide(scores_XCC)
        if self.weights == "softmax":
            return exact.softmax(-1).to(scores_XCC.dtype)
        share_XCC = torch.erf((exact - MEAN) / (SPREAD * 2**0.5))
        return ((1 + share_XCC) / 2).to(scores_XCC.dtype)


def _chunks(x_BTE: Tensor, C: int) -> Tensor:
    """(X, C, E), with zeros after the end."""
    missing = -x_BTE.shape[1] % C
    x_BTE = pad(x_BTE, (0, 0, 0, missing)) if missing else x_BTE
    return x_BTE.reshape(-1, C, x_BTE.shape[2])
