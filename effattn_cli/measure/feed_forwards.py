"""The feed-forward layers of blocks, by the shapes that an axis of the sweep names.

Letters: N tokens of all sequences, C experts per token, E experts, R rows of one expert each, F
hidden units.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from effattn_cli.feeds import FeedShape
from effattn_cli.parts.grouped import grouped
from effattn_cli.parts.precision import wide
from effattn_cli.parts.weights import alike


def relu2(x: Tensor) -> Tensor:
    """relu(x)^2, as in Primer (So et al. 2021, arXiv:2109.08668)."""
    return functional.relu(x).square()


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu, "relu2": relu2, "gelu": functional.gelu, "silu": functional.silu,
    "swiglu": functional.silu, "geglu": functional.gelu, "reglu": functional.relu,
}  # fmt: skip


def made(shape: FeedShape, dim: int) -> "Dense | Sparse":
    """The feed-forward layer of such a shape, with new weights."""
    return Sparse(shape, dim) if shape.experts else Dense(shape, dim)


class Dense(nn.Module):
    """act(x W) V, or act(x W) * (x U) V if gated; no biases."""

    def __init__(self, shape: FeedShape, dim: int) -> None:
        super().__init__()
        hidden = shape.width or 4 * dim
        self.activation, self.gated = ACTIVATIONS[shape.activation], shape.gated
        self.up = nn.Linear(dim, hidden * (2 if shape.gated else 1), bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x_BTD: Tensor, _: Tensor | None = None) -> Tensor:
        hidden = self.up(x_BTD)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            return self.down(self.activation(gate) * hidden)
        return self.down(self.activation(hidden))

    def decode(self, x_BD: Tensor) -> Tensor:
        return self(x_BD)


class Sparse(nn.Module):
    """A mixture of experts without a capacity limit: each token goes to its router's top experts,
    weighted by the softmax over them; optionally with a shared feed-forward for all tokens.
    """

    def __init__(self, shape: FeedShape, dim: int) -> None:
        super().__init__()
        assert shape.width is not None
        hidden = shape.width * (2 if shape.gated else 1)
        self.activation, self.gated = ACTIVATIONS[shape.activation], shape.gated
        self.chosen = shape.chosen
        self.router = nn.Linear(dim, shape.experts, bias=False)
        self.up_EDF = alike(shape.experts, dim, hidden)
        self.down_EFD = alike(shape.experts, shape.width, dim)
        shared = FeedShape(activation=shape.activation, width=shape.shared)
        self.shared = Dense(shared, dim) if shape.shared else None

    def forward(self, x_BTD: Tensor, _: Tensor | None = None) -> Tensor:
        x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
        logits_NE = wide(self.router(x_ND))
        gate_NC, expert_NC = logits_NE.topk(self.chosen, dim=-1)
        expert_R, pair_R = expert_NC.flatten().sort(stable=True)
        number_E = torch.arange(logits_NE.shape[1], device=x_ND.device)
        end_E = torch.searchsorted(expert_R, number_E, right=True)
        token_R = pair_R // self.chosen
        y_RD = self._experts(x_ND.index_select(0, token_R), end_E)
        gate_R = gate_NC.softmax(-1).flatten().index_select(0, pair_R).to(x_ND.dtype)
        y_ND = self.shared(x_ND) if self.shared is not None else torch.zeros_like(x_ND)
        return y_ND.index_add(0, token_R, y_RD * gate_R.unsqueeze(-1)).view_as(x_BTD)

    def unread_bytes(self, tokens: int) -> int:
        """Bytes of experts that `tokens` tokens cannot reach, in the best case."""
        experts = self.up_EDF.shape[0]
        idle = max(0, experts - tokens * self.chosen)
        return (self.up_EDF.nbytes + self.down_EFD.nbytes) // experts * idle

    def _experts(self, x_RD: Tensor, end_E: Tensor) -> Tensor:
        hidden_RF = grouped(x_RD, self.up_EDF, end_E)
        if self.gated:
            gate_RF, linear_RF = hidden_RF.chunk(2, dim=-1)
            return grouped(self.activation(gate_RF) * linear_RF, self.down_EFD, end_E)
        return grouped(self.activation(hidden_RF), self.down_EFD, end_E)

    def decode(self, x_BD: Tensor) -> Tensor:
        return self(x_BD)
