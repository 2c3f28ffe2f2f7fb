"""Compressive Transformer: old memories are compressed instead of dropped."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from effattn_cli.attention import Card, SurveyRow, Unsupported
from effattn_cli.parts.segments import DecodableSegments


@final
class CompressiveTransformer(DecodableSegments):
    """Transformer-XL with a second memory of compressed tokens behind the first.

    Each segment attends to itself, to the last M tokens before it and to C compressed ones before
    these: a convolution compresses every c tokens that leave the memory into one (Compressive
    Transformers, Rae et al. 2020, arXiv:1911.05507). M: memory, C: compressed.
    """

    card = Card(
        title="Compressive Transformer",
        families=("recurrence",),
        paper="arXiv:1911.05507",
        year=2020,
        time="N w",
        memory="N",
        state="m",
        causal="always",
        kind="own mechanism",
        survey=SurveyRow(complexity="N^2", decode=True, classes="RC"),
        notes=(
            "the survey's N is the length of a segment: a run over many segments is linear in N",
            "keys and values are compressed, by a convolution each over all heads: where W_k and"
            " W_v are square and invertible, the paper's one over hidden states is a case of it",
            "the convolutions learn only from the auxiliary loss, which belongs to training",
            "a compressed key stands one position behind the next, as if it were a token",
        ),
        exempt={
            "gradients": "the task's loss stops at the memories; the convolutions have another",
            "growth": "up to 16k tokens, one segment and its memories outweigh what grows with N",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(DecodableSegments.Config):
        segment: int = 512
        """Tokens of a segment; this and what follows are the paper's settings of PG-19."""
        memory: int = 512
        """Tokens before the segment that are remembered; a multiple of the segment."""
        compressed: int = 512
        """Compressed tokens that are remembered behind these."""
        compression: int = 2
        """Tokens that become one; a divisor of the segment (c in the paper)."""

    def __init__(self, config: Config) -> None:
        for name, minimum in (("memory", 0), ("compressed", 0), ("compression", 1)):
            if getattr(config, name) < minimum:
                raise Unsupported(f"{name} {getattr(config, name)} is below {minimum}")
        super().__init__(
            config, segment=config.segment, max_memory=config.memory + config.compressed
        )
        if config.memory % config.segment:
            raise Unsupported(f"memory {config.memory} is not a multiple of the segment")
        if config.segment % config.compression:
            raise Unsupported(f"compression {config.compression} does not divide the segment")
        self.memory, self.ratio = config.memory, config.compression
        self.horizon = config.segment + config.memory + config.compressed * config.compression
        width = self.heads * self.head_dim
        # Convolutions whose kernel size equals their stride.
        self.compress_k = nn.Linear(config.compression * width, width)
        self.compress_v = nn.Linear(config.compression * width, width)

    def remembered(self, passed: int) -> int:
        left = max(0, passed - self.memory)
        return min(passed, self.memory) + min(left // self.ratio, self.max_memory - self.memory)

    def remember(self, k_BHSK: Tensor, v_BHSK: Tensor, passed: int) -> tuple[Tensor, Tensor]:
        if passed <= self.memory:  # nothing leaves the memory yet
            return k_BHSK, v_BHSK
        keep = self.remembered(passed)
        parts = ((self.compress_k, k_BHSK), (self.compress_v, v_BHSK))
        k_BHSK, v_BHSK = (self._compressed(*part) for part in parts)
        first = k_BHSK.shape[2] - keep
        return k_BHSK[:, :, first:], v_BHSK[:, :, first:]

    def _compressed(self, convolution: nn.Linear, x_BHSK: Tensor) -> Tensor:
        """The whole memory, with its oldest uncompressed segment compressed."""
        stays = x_BHSK.shape[2] - self.memory
        old_BHLK = x_BHSK[:, :, stays - self.segment : stays]
        B, H, L, K = old_BHLK.shape
        group_BZE = old_BHLK.transpose(1, 2).reshape(B, L // self.ratio, self.ratio * H * K)
        weights = convolution.weight.detach(), convolution.bias.detach()
        new_BHZK = self.split("q", linear(group_BZE, *weights))
        return torch.cat(
            [x_BHSK[:, :, : stays - self.segment], new_BHZK, x_BHSK[:, :, stays:]], dim=2
        )
