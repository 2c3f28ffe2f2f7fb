"""What layers with a matrix of a state a head have in common: projections with short convolutions,
gates of their own activation, a normed and gated output, and what decoding keeps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, softplus

from effattn_cli.attention import Decodable, Input, Unsupported
from effattn_cli.parts.precision import wide
from effattn_cli.parts.short_conv import ShortConv


@dataclass(frozen=True)
class Memory:
    """The state of each head in float32, and what the short convolutions have seen last."""

    matrix_BHKV: Tensor
    recent_BSE: Tensor | None

    def after(self, matrix_BHKV: Tensor) -> "Memory":
        return Memory(matrix_BHKV, self.recent_BSE)


class Recurrent(Decodable[Memory]):
    """Inputs are projected, some of them convolved over the last tokens, and then `activated`.

    A variant says which are convolved, and gives `attend` and `step`.
    """

    #: The inputs that pass a short convolution, side by side.
    convolved: ClassVar[tuple[str, ...]] = ()
    convolution_bias: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        conv: int = 4
        """Tokens that the short convolutions look at; 0 for none."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.conv < 0:
            raise Unsupported(f"conv {config.conv} is below 0")
        self.conv: ShortConv | None = None
        if config.conv and self.convolved and not config.core:
            self.conv = ShortConv(sum(self._widths), config.conv, bias=self.convolution_bias)

    @property
    def _widths(self) -> list[int]:
        return [self.inputs[name].numbers(self) for name in self.convolved]

    def activated(self, name: str, y: Tensor) -> Tensor:
        """A projection, with its axes of heads and width, as the core takes it."""
        return y

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        made = self._projected(x_BTD)
        if self.conv is not None:
            side_BTE = torch.cat([made[name] for name in self.convolved], dim=-1)
            self._replace(made, self.conv(side_BTE))
        return self._finished(made)

    def project_step(self, x_BD: Tensor, state: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        made = self._projected(x_BD.unsqueeze(1))
        if self.conv is not None:
            assert state.recent_BSE is not None
            side_BE = torch.cat([made[name] for name in self.convolved], dim=-1).squeeze(1)
            side_BE, recent_BSE = self.conv.step(side_BE, state.recent_BSE)
            self._replace(made, side_BE.unsqueeze(1))
            state = Memory(state.matrix_BHKV, recent_BSE)
        pairs = zip(self.inputs.values(), self._finished(made), strict=True)
        return tuple(spec.of_token(x) for spec, x in pairs), state

    def _projected(self, x_BTD: Tensor) -> dict[str, Tensor]:
        return {name: self.projections[name](x_BTD) for name in self.projected}

    def _replace(self, made: dict[str, Tensor], side_BTE: Tensor) -> None:
        parts = side_BTE.split(self._widths, dim=-1)
        made.update(zip(self.convolved, parts, strict=True))

    def _finished(self, made: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(self.activated(name, self.split(name, made[name])) for name in self.inputs)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Heads, and the widths of keys and values."""
        return self.heads, self.head_dim, self.value_dim

    def init_state(self, batch: int, context: int) -> Memory:
        matrix_BHKV = wide(self.blank(batch, *self.state_shape, random=context > 0))
        if self.conv is None:
            return Memory(matrix_BHKV, None)
        shape = batch, self.conv.before, sum(self._widths)
        return Memory(matrix_BHKV, self.blank(*shape, random=context > 0))


class Decay(nn.Module):
    """The logarithm of a decay from a projection: -e^A softplus(x + b), with A and b learned.

    A is one a head; b is one a head, or one a channel. As in Mamba-2 (arXiv:2405.21060): e^A starts
    evenly between 1 and 16, and softplus(b) between 0.001 and 0.1 on a logarithmic scale. Where it
    has a lowest value, it is that times sigmoid(e^A (x + b)).
    """

    def __init__(self, heads: int, width: int | None = None, lowest: float | None = None) -> None:
        super().__init__()
        self.lowest = lowest
        self.log_rate_H = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.bias = nn.Parameter(step_biases(heads, *([] if width is None else [width])))

    def step_size(self, x: Tensor) -> Tensor:
        """softplus(x + b) of (B, H, T), or (B, H, T, K), in float32."""
        return softplus(self._moved(x))

    def forward(self, x: Tensor) -> Tensor:
        rate = wide(self.log_rate_H).exp().view(-1, *(1,) * (x.ndim - 2))
        if self.lowest is not None:
            return self.lowest * torch.sigmoid(rate * self._moved(x))
        return -rate * self.step_size(x)

    def _moved(self, x: Tensor) -> Tensor:
        return wide(x) + wide(self.bias).unsqueeze(1)


def step_biases(*shape: int) -> Tensor:
    """Biases b with softplus(b) between 0.001 and 0.1, evenly on a logarithmic scale."""
    step = torch.empty(shape).uniform_(math.log(1e-3), math.log(1e-1)).exp()
    return step + torch.log(-torch.expm1(-step))


def low_rank(dim: int, rank: int, out: int, *, bias: bool = False) -> nn.Sequential:
    """A projection by way of fewer numbers."""
    return nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, out, bias=bias))


def normed(y_BHTV: Tensor, weight: Tensor | None, epsilon: float = 1e-6) -> Tensor:
    """Each head's output divided by its root mean square, taken in float32."""
    y: Any = rms_norm(wide(y_BHTV), y_BHTV.shape[-1:], None, epsilon).to(y_BHTV.dtype)
    return y if weight is None else y * weight

