"""The decoding state of exact attention: the keys and values of the tokens so far (KV cache)."""

from dataclasses import dataclass, replace

from torch import Tensor

from effattn_cli.attention import Decodable
from effattn_cli.parts.exact import one_query


@dataclass(frozen=True)
class Cache:
    """Room for R keys and values, of which the first `length` are filled."""

    k_BGRK: Tensor
    v_BGRK: Tensor
    length: int

    @classmethod
    def init(
        cls, layer: "Decodable[Cache]", batch: int, context: int, heads: int | None = None
    ) -> "Cache":
        """`context` random keys and values, with room for at least one more token.

        `heads`: how many, for a variant whose kv heads are repeated; by default the kv heads.
        """
        room = max(layer.config.tokens, context + 1)
        shape = (batch, heads or layer.kv_heads, room, layer.head_dim)
        return cls(layer.blank(*shape, random=True), layer.blank(*shape, random=True), context)

    def append(self, k_BGK: Tensor, v_BGK: Tensor) -> "Cache":
        self.k_BGRK[:, :, self.length] = k_BGK
        self.v_BGRK[:, :, self.length] = v_BGK
        return replace(self, length=self.length + 1)

    def attend(self, q_BHK: Tensor, sink_H: Tensor | None = None, cap: float = 0.0) -> Tensor:
        """Exact attention of one query per head over all stored tokens."""
        k_BGTK, v_BGTK = self.k_BGRK[:, :, : self.length], self.v_BGRK[:, :, : self.length]
        return one_query(q_BHK, k_BGTK, v_BGTK, sink_H, cap)
