"""LongNet: dilated attention."""

from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from effattn_cli.attention import Card, Decodable, Unsupported
from effattn_cli.parts.dilated import dilated
from effattn_cli.parts.lse_merge import take_in
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rotary import Rotary


@dataclass(frozen=True)
class Segments:
    """Decoding state: per pattern, the keys and values that each head picked in its segment."""

    k_BHSK: tuple[Tensor, ...]
    v_BHSK: tuple[Tensor, ...]
    length: int


@final
class LongNet(Rotary, Decodable[Segments]):
    """Sees near tokens densely and far ones ever more sparsely, in segments of growing length.

    Pattern p cuts the tokens into segments of W_p = W a^p. Within a segment, head h attends from
    and to every R_p-th token, starting at offset h mod R_p, R_p = a^p. With o_p and s_p the output
    and the sum of exponentials there, out = sum over p of s_p o_p / sum over p of s_p, where a
    token that h does not pick has s_p = 0 (LongNet, Ding et al. 2023, arXiv:2307.02486).
    W: segment, a: growth.
    """

    card = Card(
        title="LongNet",
        families=("fixed-pattern",),
        paper="arXiv:2307.02486",
        year=2023,
        time="N w",
        memory="N",
        state="log N",
        causal="optional",
        kind="approximates softmax",
        swap="lossy",
        knobs={"segment": "N"},
        aliases=("dilated", "dilated-attention"),
        notes=(
            "the paper's models have segments of 2048 to 32,768 tokens and strides 1, 2, 4, 6, 12;"
            " here both grow by one factor, as in the paper's count of operations",
            "a key that a query meets in several patterns counts in each, as the paper defines it",
            "gradients run through the weights of the patterns too; the authors' code stops them",
            "offsets are h mod R as in the paper; in the authors' code neighbours share one",
            "where R is more than the number of heads, some tokens are in no head's pattern",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        segment: int = 256
        """Tokens of the shortest segments, all of which are seen (w_0 in the paper, 2048 there)."""
        growth: int = 2
        """By what factor segments and strides grow from a pattern to the next (alpha)."""
        patterns: int | None = None
        """How many; unless given, as many as it takes to reach the longest sequence's length."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name, minimum in (("segment", 1), ("growth", 2), ("patterns", 1)):
            value = getattr(config, name)
            if value is not None and value < minimum:
                raise Unsupported(f"{name} {value} is below {minimum}")
        number = config.patterns
        if number is None:
            number = 1
            while config.segment * config.growth ** (number - 1) < config.tokens:
                number += 1
        factors = [config.growth**p for p in range(number)]
        self.patterns = [(config.segment * factor, factor) for factor in factors]
        # Longer segments fill up more slowly and have little weight.
        self.period, self.horizon = config.segment, 4 * config.segment

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return dilated(q_BHTK, k_BHTK, v_BHTK, valid_BT, patterns=self.patterns, causal=self.causal)

    def init_state(self, batch: int, context: int) -> Segments:
        room = max(self.config.tokens, context + 1)
        shapes = [
            (batch, self.heads, -(-min(segment, room) // stride), self.head_dim)
            for segment, stride in self.patterns
        ]
        keys, values = (tuple(self.blank(*s, random=True) for s in shapes) for _ in "kv")
        return Segments(keys, values, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Segments
    ) -> tuple[Tensor, Segments]:
        """Heads whose pattern skips this token leave that pattern out."""
        out_BHxK = total_BHxx = q_BHK  # overwritten by the first pattern, which includes every head
        kept = zip(self.patterns, state.k_BHSK, state.v_BHSK, strict=True)
        for (segment, stride), k_BHSK, v_BHSK in kept:
            slot, offset = divmod(state.length % segment, stride)
            if offset >= self.heads:
                continue
            some = slice(offset, None, stride)
            k_BHSK[:, some, slot], v_BHSK[:, some, slot] = k_BHK[:, some], v_BHK[:, some]
            k_BJSK, v_BJSK = (x[:, some, : slot + 1] for x in (k_BHSK, v_BHSK))
            q_BJxK = q_BHK[:, some].unsqueeze(2) * self.head_dim**-0.5
            logits_BJxS = wide(q_BJxK @ k_BJSK.mT)
            more_BJxx = logits_BJxS.logsumexp(-1, keepdim=True)
            more_BJxK = wide((logits_BJxS - more_BJxx).exp().to(v_BJSK.dtype) @ v_BJSK)
            if stride == 1:
                out_BHxK, total_BHxx = more_BJxK, more_BJxx
                continue
            take_in(out_BHxK[:, some], total_BHxx[:, some], more_BJxK, more_BJxx)
        y_BHK = out_BHxK.squeeze(2).to(v_BHK.dtype)
        return y_BHK, replace(state, length=state.length + 1)
