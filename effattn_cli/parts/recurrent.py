"""What recurrent layers with a matrix-valued state per head share: projections with short
convolutions, gates with their own activations, a normalised and gated output, and the decoding
state.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from effattn_cli.attention import Decodable, Unsupported
from effattn_cli.parts.chunked import CHUNK
from effattn_cli.parts.precision import wide
from effattn_cli.parts.short_conv import ShortConv


@dataclass(frozen=True)
class Memory:
    """The state of each head in float32, and the last inputs of the short convolutions."""

    matrix_BHKV: Tensor
    length: int = 0  # tokens so far
    recent_BSE: Tensor | None = None

    def after(self, matrix_BHKV: Tensor) -> "Memory":
        return Memory(matrix_BHKV, self.length, self.recent_BSE)


class Recurrent(Decodable[Memory]):
    """Inputs are projected and then `activated`. A variant defines `attend` and `step`."""

    horizon = 2 * CHUNK  # all steps do the same work; the forward pass goes by chunks

    def activated(self, name: str, y: Tensor) -> Tensor:  # noqa: ARG002
        """Converts a projection, with its axes of heads and width, to what the core takes."""
        return y

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._finished({name: self.projections[name](x_BTD) for name in self.projected})

    def derived(self, made: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The projections, plus the inputs that are derived from them."""
        return made

    def _finished(self, made: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        made = self.derived(made)
        return tuple(self.activated(name, self.split(name, made[name])) for name in self.inputs)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """The number of heads, and the widths of keys and values."""
        return self.heads, self.head_dim, self.value_dim

    def init_state(self, batch: int, context: int) -> Memory:
        matrix_BHKV = wide(self.blank(batch, *self.state_shape, random=context > 0))
        return Memory(matrix_BHKV, context)


class Convolved(Recurrent):
    """Some of the inputs first pass a short causal convolution, concatenated."""

    convolved: ClassVar[tuple[str, ...]]
    convolution_bias: ClassVar[bool] = False
    convolution_activates: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Recurrent.Config):
        conv: int = 4
        """Tokens that the short convolutions look at; 0 for none."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.conv < 0:
            raise Unsupported(f"conv {config.conv} is below 0")
        self.conv: ShortConv | None = None
        if config.conv and not config.core:
            self.conv = ShortConv(
                sum(self._widths),
                config.conv,
                bias=self.convolution_bias,
                activate=self.convolution_activates,
            )

    @property
    def _widths(self) -> list[int]:
        return [self.inputs[name].numbers(self) for name in self.convolved]

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        made = {name: self.projections[name](x_BTD) for name in self.projected}
        if self.conv is not None:
            side_BTE = torch.cat([made[name] for name in self.convolved], dim=-1)
            made |= self._apart(self.conv(side_BTE))
        return self._finished(made)

    def project_step(self, x_BD: Tensor, state: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        made = {name: self.projections[name](x_BD.unsqueeze(1)) for name in self.projected}
        if self.conv is not None:
            assert state.recent_BSE is not None
            side_BE = torch.cat([made[name] for name in self.convolved], dim=-1).squeeze(1)
            side_BE, recent_BSE = self.conv.step(side_BE, state.recent_BSE)
            made |= self._apart(side_BE.unsqueeze(1))
            state = replace(state, recent_BSE=recent_BSE)
        pairs = zip(self.inputs.values(), self._finished(made), strict=True)
        return tuple(spec.of_token(x) for spec, x in pairs), state

    def _apart(self, side_BTE: Tensor) -> dict[str, Tensor]:
        parts = side_BTE.split(self._widths, dim=-1)
        return dict(zip(self.convolved, parts, strict=True))

    def init_state(self, batch: int, context: int) -> Memory:
        state = super().init_state(batch, context)
        if self.conv is None:
            return state
        shape = batch, self.conv.before, sum(self._widths)
        return replace(state, recent_BSE=self.blank(*shape, random=context > 0))


class Decay(nn.Module):
    """The log of a decay from a projection: -e^A softplus(x + b), with learned A and b.

    A is one per head; b is one per head, or one per channel. As in Mamba-2 (arXiv:2405.21060), e^A
    is initialised uniformly between 1 and 16, and softplus(b) log-uniformly between 0.001 and 0.1.
    With a `lowest` value, the decay is that times sigmoid(e^A (x + b)).
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
    """Biases b with softplus(b) log-uniform between 0.001 and 0.1."""
    step = torch.empty(shape).uniform_(math.log(1e-3), math.log(1e-1)).exp()
    return step + torch.log(-torch.expm1(-step))


def key_heads_of(heads: int, given: int | None) -> int:
    """As many heads of queries and keys as of values, unless fewer are given.

    Raises:
        Unsupported: the heads are not a multiple of them.
    """
    key_heads = heads if given is None else given
    if key_heads < 1 or heads % key_heads:
        raise Unsupported(f"{heads} heads are not a multiple of key_heads {key_heads}")
    return key_heads


def at_least_one(name: str, given: int | None, usual: int = 1) -> int:
    """The value of an option, or the usual one if none is given.

    Raises:
        Unsupported: it is below 1.
    """
    value = usual if given is None else given
    if value < 1:
        raise Unsupported(f"{name} {value} is below 1")
    return value


def low_rank(dim: int, rank: int, out: int, *, bias: bool = False) -> nn.Sequential:
    """A low-rank projection."""
    return nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, out, bias=bias))


def normed(
    y_BHTV: Tensor, weight: Tensor | None, epsilon: float = 1e-6, over: tuple[int, ...] = (-1,)
) -> Tensor:
    """Divided by the root mean square of each head, or `over` more axes; computed in float32."""
    square = wide(y_BHTV).square().mean(over, keepdim=True)
    y_BHTV = y_BHTV * (square + epsilon).rsqrt().to(y_BHTV.dtype)
    return y_BHTV if weight is None else y_BHTV * weight
