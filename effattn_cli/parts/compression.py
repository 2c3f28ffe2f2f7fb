"""Entries that stand for several tokens each, pooled channel by channel by a softmax of gates.

R tokens of a window, the ratio; Z windows, one entry each; S series per token: one, or two where
windows overlap. E = S K channels of a token, M = S R slots that an entry pools.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Decodable
from effattn_cli.parts.precision import wide


@dataclass(frozen=True)
class Entries:
    """Decoding state: the entries of the windows so far, and the slots that the next one pools."""

    row_BZK: Tensor
    x_BME: Tensor  # the last tokens, as a ring buffer; in at least float32
    gate_BME: Tensor  # including their biases; -inf before the first token

    @classmethod
    def init(
        cls, layer: "Decodable[Any]", compressor: "Compressor", batch: int, context: int
    ) -> "Entries":
        """For `context` random tokens, with room for at least one more."""
        room = max(layer.config.tokens, context + 1) // compressor.ratio
        slots = compressor.slots, compressor.series * compressor.width
        x_BME, gate_BME = (wide(layer.blank(batch, *slots, random=context > 0)) for _ in range(2))
        gate_BME[:, context:] = -torch.inf
        return cls(layer.blank(batch, room, compressor.width, random=True), x_BME, gate_BME)


class Compressor(nn.Module):
    """The entry of window w: RMSNorm(sum over slots of softmax(g + b) x), in each channel.

    With one series the slots are the tokens of the window. With two, a and b, they are a of window
    w - 1 and b of window w, so that each token is in two entries; a comes first. There is a bias b
    for each position in a window. RMSNorm has a weight, or there is no normalisation.
    """

    def __init__(self, width: int, ratio: int, *, series: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.width, self.ratio, self.series = width, ratio, series
        self.bias_RE = nn.Parameter(torch.zeros(ratio, series * width))
        self.norm = nn.RMSNorm(width, eps=1e-6) if norm else None

    @property
    def slots(self) -> int:
        return self.series * self.ratio

    def forward(self, x_BTE: Tensor, gate_BTE: Tensor) -> Tensor:
        """The entries of all full windows, (B, Z, K)."""
        B, T, _ = x_BTE.shape
        Z, ratio = T // self.ratio, self.ratio
        if not Z:
            return x_BTE.new_empty(B, 0, self.width)
        x_BZRE, gate_BZRE = (
            y_BTE[:, : Z * ratio].unflatten(1, (Z, ratio)) for y_BTE in (x_BTE, gate_BTE)
        )
        gate_BZRE = wide(gate_BZRE) + wide(self.bias_RE)
        x_BZMK = self._overlapping(x_BZRE, 0.0)
        return self._pooled(x_BZMK, self._overlapping(gate_BZRE, -torch.inf))

    def step(self, entries: Entries, x_BE: Tensor, gate_BE: Tensor, position: int) -> Tensor | None:
        """Adds the token at `position`; the entry (B, K) of its window if that is complete."""
        slot, at = position % self.slots, position % self.ratio
        entries.x_BME[:, slot] = x_BE.to(entries.x_BME.dtype)
        entries.gate_BME[:, slot] = wide(gate_BE) + wide(self.bias_RE[at])
        if at < self.ratio - 1:
            return None
        x_BZRE, gate_BZRE = (
            # The previous window comes first.
            y_BME.roll(-slot - 1, 1).unflatten(1, (self.series, self.ratio))
            for y_BME in (entries.x_BME, entries.gate_BME)
        )
        slots = self._overlapping(x_BZRE, 0.0), self._overlapping(gate_BZRE, -torch.inf)
        return self._pooled(*(y_BZMK[:, -1:] for y_BZMK in slots)).squeeze(1)

    def _overlapping(self, x_BZRE: Tensor, nothing: float) -> Tensor:
        """The slots of each window; those before the first token are empty."""
        if self.series == 1:
            return x_BZRE
        a_BZRK, b_BZRK = x_BZRE.chunk(2, dim=-1)
        before_BZRK = pad(a_BZRK, (0, 0, 0, 0, 1, -1), value=nothing)
        return torch.cat([before_BZRK, b_BZRK], dim=2)

    def _pooled(self, x_BZMK: Tensor, gate_BZMK: Tensor) -> Tensor:
        entry_BZK = (gate_BZMK.softmax(2) * x_BZMK).sum(2)
        entry_BZK = entry_BZK.to(self.bias_RE.dtype)
        return entry_BZK if self.norm is None else self.norm(entry_BZK)


def turned_last(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The last 2 R dimensions, in halves a and b, become a cos - b sin and b cos + a sin."""
    half = cos.shape[-1]
    if not half:
        return x
    rest, a, b = x.split([x.shape[-1] - 2 * half, half, half], dim=-1)
    return torch.cat([rest, a * cos - b * sin, b * cos + a * sin], dim=-1)
