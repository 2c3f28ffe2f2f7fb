"""Plain modules, as anybody writes them: a convolution over time, and what it is made of."""

import torch
from torch import Tensor, nn


class Mixer(nn.Module):
    """A causal depthwise convolution between two projections."""

    def __init__(
        self,
        d_model: int,
        num_heads: int = 1,
        kernel: int = 4,
        *,
        activation: str = "silu",
        norm: type[nn.Module] = nn.LayerNorm,
    ) -> None:
        super().__init__()
        self.norm, self.inside = norm(d_model), Inside(d_model, kernel)
        self.out = nn.Linear(d_model, d_model)
        self.heads, self.activation = num_heads, getattr(nn.functional, activation)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.out(self.activation(self.inside(self.norm(x)))), None


class Inside(nn.Module):
    """What a mixer is made of."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.ones(kernel, width) / kernel)

    def forward(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, (0, 0, len(self.taps) - 1, 0))
        return (padded.unfold(1, len(self.taps), 1) * self.taps.T).sum(-1)
