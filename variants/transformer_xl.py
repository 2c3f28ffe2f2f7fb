"""Transformer-XL: segments with a memory of the tokens before them."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from effattn_cli.attention import Card, SurveyRow, Unsupported
from effattn_cli.parts.segments import DecodableSegments


@final
class TransformerXL(DecodableSegments):
    """Attends within a segment and to a memory of the last M tokens before it.

    score_ij = ((q_i + u) k_j + (q_i + v) W_r R_{i-j}) / sqrt K over the memory and the segment up
    to i, with R a sinusoidal embedding of the distance; no gradient flows into the memory
    (Transformer-XL, Dai et al. 2019, arXiv:1901.02860). M: memory.
    """

    card = Card(
        title="Transformer-XL",
        families=("recurrence",),
        paper="arXiv:1901.02860",
        year=2019,
        time="N w",
        memory="N",
        state="w",
        causal="always",
        kind="own mechanism",
        reach=("segment", "memory"),
        aliases=("txl",),
        survey=SurveyRow(complexity="N^2", decode=True, classes="RC"),
        notes=(
            "the survey's N is the length of a segment: a run over many segments is linear in N",
            "the memory holds keys and values, which equal the projected states of the paper;"
            " in training, the layer projects the detached tokens again for it",
            "attend, the core, has no projections to learn through the memory: it detaches k and v",
            "u and v belong to this layer; the authors share them among layers by default",
        ),
        exempt={
            "growth": "up to 16k tokens, one segment and its memory outweigh what grows with N"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(DecodableSegments.Config):
        segment: int = 512
        """Tokens of a segment; the authors' base model of enwik8."""
        memory: int = 512
        """Tokens before the segment that are remembered."""

    def __init__(self, config: Config) -> None:
        if config.memory < 0:
            raise Unsupported(f"memory {config.memory} is below 0")
        super().__init__(config, segment=config.segment, max_memory=config.memory)

    def remembered(self, passed: int) -> int:
        return min(passed, self.max_memory)

    def remember(self, k_BHSK: Tensor, v_BHSK: Tensor, passed: int) -> tuple[Tensor, Tensor]:
        first = k_BHSK.shape[2] - self.remembered(passed)
        return k_BHSK[:, :, first:], v_BHSK[:, :, first:]
