"""Transformer layers on latents: a few vectors that are processed instead of all tokens."""

import torch
from torch import Tensor, nn

from effattn_cli.attention import merge_heads
from effattn_cli.parts.exact import exact


class LatentLayer(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.feed = feed_forward(width)

    def forward(self, z_BMD: Tensor, *, causal: bool) -> Tensor:
        return self.finish(z_BMD, merge_heads(exact(*self.project(z_BMD), causal=causal)))

    def project(self, z_BMD: Tensor) -> tuple[Tensor, ...]:
        qkv_BMxHK = self.qkv(self.norm(z_BMD)).unflatten(2, (3, -1, self.head_dim))
        return qkv_BMxHK.permute(2, 0, 3, 1, 4).unbind(0)

    def finish(self, z_BMD: Tensor, y_BMD: Tensor) -> Tensor:
        z_BMD = z_BMD + self.out(y_BMD)
        return z_BMD + self.feed(z_BMD)


def last_places(count: int, x_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    """The positions (B, M) of the last `count` real tokens, or fewer; (1, M) if all are real."""
    T = x_BTD.shape[1]
    position_M = torch.arange(min(count, T), device=x_BTD.device)
    if valid_BT is None:
        return position_M[None] + (T - len(position_M))
    return position_M + (valid_BT.sum(1, keepdim=True) - len(position_M)).clamp(min=0)


def feed_forward(width: int) -> nn.Sequential:
    linears = nn.Linear(width, width), nn.Linear(width, width)
    return nn.Sequential(nn.LayerNorm(width), linears[0], nn.GELU(), linears[1])
