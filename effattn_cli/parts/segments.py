"""Attention segment by segment, each with a memory of earlier tokens.

L tokens of a segment, S keys: those of the memory, then those of the segment.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.attention import Decodable, Unsupported
from effattn_cli.parts.relative import RelativeScores

Pair = tuple[Tensor, Tensor]  # keys and values


@dataclass(frozen=True)
class Segment:
    """Decoding state: a memory, and room for a segment, of which `length` tokens are filled."""

    k_BHSK: Tensor
    v_BHSK: Tensor
    r_HWK: Tensor  # the position embeddings, projected once
    passed: int  # tokens before the segment
    length: int


class DecodableSegments(Decodable[Segment]):
    """A variant defines the two methods that say what is remembered, and how much."""

    def __init__(self, config: Decodable.Config, *, segment: int, max_memory: int) -> None:
        super().__init__(config)
        if segment < 1:
            raise Unsupported(f"segment {segment} is below 1")
        self.segment, self.period, self.max_memory = segment, segment, max_memory
        self.horizon = segment + max_memory
        self.positions = RelativeScores(config.dim, self.heads, self.head_dim)

    def remembered(self, passed: int) -> int:
        """How many keys the memory holds after `passed` tokens: at most `max_memory`."""
        raise NotImplementedError

    def remember(self, k_BHSK: Tensor, v_BHSK: Tensor, passed: int) -> Pair:
        """The next memory, from the last one and its segment; `passed` counts that segment too."""
        raise NotImplementedError

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTK: Tensor,
        valid_BT: Tensor | None = None,  # noqa: ARG002  right padding: no real query sees it
        stopped: Pair | None = None,
    ) -> Tensor:
        """`stopped`: k and v for the memory, when detaching the given k and v is not enough."""
        r_HWK, outs = self._positions(), []
        memory = k_BHTK[:, :, :0], v_BHTK[:, :, :0]
        # Split, because the gradient of each slice would have the whole length.
        wholes = (q_BHTK, k_BHTK, v_BHTK, *(stopped or (k_BHTK.detach(), v_BHTK.detach())))
        segments = list(zip(*(torch.split(x, self.segment, dim=2) for x in wholes), strict=True))
        for i, (q_BHLK, k_BHLK, v_BHLK, *past) in enumerate(segments, start=1):
            k_BHSK, v_BHSK = _joined(memory, (k_BHLK, v_BHLK))
            start = memory[0].shape[2]
            outs.append(
                self.positions.attend(q_BHLK, k_BHSK, v_BHSK, r_HWK, start=start, causal=True)
            )
            if i < len(segments):
                before = k_BHSK.detach(), v_BHSK.detach()
                if stopped is not None:
                    before = _joined(memory, (past[0], past[1]))
                memory = self.remember(*before, i * self.segment)
        return torch.cat(outs, dim=2)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """In training, gradients reach W_k and W_v through the memory too, but not its tokens."""
        stopped = None
        if torch.is_grad_enabled():
            _, *past = self.repeated(self.project(x_BTD.detach()))
            stopped = past[0], past[1]
        q_BHTK, k_BHTK, v_BHTK = self.repeated(self.project(x_BTD))
        return self.output(self.attend(q_BHTK, k_BHTK, v_BHTK, valid_BT, stopped))

    def init_state(self, batch: int, context: int) -> Segment:
        passed = max(0, context - 1) // self.segment * self.segment
        shape = (batch, self.heads, self.remembered(passed) + self.segment, self.head_dim)
        k_BHSK, v_BHSK = (self.blank(*shape, random=True) for _ in range(2))
        return Segment(k_BHSK, v_BHSK, self._positions(), passed, context - passed)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Segment
    ) -> tuple[Tensor, Segment]:
        if state.length == self.segment:
            state = self._turned(state)
        at = state.k_BHSK.shape[2] - self.segment + state.length
        state.k_BHSK[:, :, at], state.v_BHSK[:, :, at] = k_BHK, v_BHK
        q_BHxK, k_BHSK, v_BHSK = q_BHK.unsqueeze(2), state.k_BHSK, state.v_BHSK
        y_BHxK = self.positions.attend(q_BHxK, k_BHSK, v_BHSK, state.r_HWK, start=at, causal=True)
        return y_BHxK.squeeze(2), replace(state, length=state.length + 1)

    def _turned(self, state: Segment) -> Segment:
        """The state at the start of a new segment, in new tensors."""
        passed = state.passed + self.segment
        memory = self.remember(state.k_BHSK, state.v_BHSK, passed)
        k_BHSK, v_BHSK = (pad(x, (0, 0, 0, self.segment)) for x in memory)
        return Segment(k_BHSK, v_BHSK, state.r_HWK, passed, 0)

    def _positions(self) -> Tensor:
        # The shift needs one distance more than there is.
        furthest = self.max_memory + self.segment - 1
        return self.positions.embedded(furthest, furthest + 2)


def _joined(memory: Pair, new: Pair) -> Pair:
    k_BHSK, v_BHSK = (torch.cat(both, dim=2) for both in zip(memory, new, strict=True))
    return k_BHSK, v_BHSK
