"""The scope `block`: a pre-norm Transformer block with a variant in one of its halves."""

from typing import Any

from torch import Tensor, nn

from effattn_cli.attention import Decodable, FeedForward, Layer
from effattn_cli.errors import Unsupported
from effattn_cli.measure.feed_forwards import Dense, Sparse

NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class Block(nn.Module):
    """x + mix(norm(x)), and of that x + feed(norm(x)); one of the halves may be missing."""

    def __init__(
        self,
        mixer: Layer | None,
        feed: FeedForward | Dense | Sparse | None,
        *,
        dim: int,
        norm: str = "layer",
    ) -> None:
        super().__init__()
        self.mixer, self.feed = mixer, feed
        self.norm_mixer = NORMS[norm](dim) if mixer is not None else None
        self.norm_feed = NORMS[norm](dim) if feed is not None else None

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        if self.mixer is not None and self.norm_mixer is not None:
            mixed_BTD = self.mixer(self.norm_mixer(x_BTD), valid_BT)
            if mixed_BTD.shape != x_BTD.shape:
                tokens, given = mixed_BTD.shape[1], x_BTD.shape[1]
                why = f"{tokens} tokens of {given}, so that no residual can go around it"
                raise Unsupported(f"{self.mixer.card.title} makes {why}")
            x_BTD = x_BTD + mixed_BTD
        if self.feed is None or self.norm_feed is None:
            return x_BTD
        return x_BTD + self.feed(self.norm_feed(x_BTD), valid_BT)

    def decode(self, x_BD: Tensor, state: Any = None) -> Any:
        """One token, as in `Decodable.decode`, with a mixer that is decodable; without a mixer
        there is no state.
        """
        if self.mixer is None or self.norm_mixer is None:
            return self._fed(x_BD)
        assert isinstance(self.mixer, Decodable)
        mixed_BD, state = self.mixer.decode(self.norm_mixer(x_BD), state)
        return self._fed(x_BD + mixed_BD), state

    def _fed(self, x_BD: Tensor) -> Tensor:
        if self.feed is None or self.norm_feed is None:
            return x_BD
        return x_BD + self.feed.decode(self.norm_feed(x_BD))
