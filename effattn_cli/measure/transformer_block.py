"""The scope `block`: a pre-norm Transformer block with a variant in one of its halves."""

from typing import Any

from torch import Tensor, nn

from effattn_cli.attention import Decodable, FeedForward, Layer
from effattn_cli.errors import Unsupported


class Dense(nn.Module):
    """The feed-forward of the Transformer: relu(x W1) W2, with 4 D hidden units, no biases."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, 4 * dim, bias=False), nn.ReLU(), nn.Linear(4 * dim, dim, bias=False)
        )

    def forward(self, x_BTD: Tensor, _: Tensor | None = None) -> Tensor:
        return self.layers(x_BTD)

    def decode(self, x_BD: Tensor) -> Tensor:
        return self.layers(x_BD)


class Block(nn.Module):
    """x + mix(norm(x)), and of that x + feed(norm(x))."""

    def __init__(self, mixer: Layer, feed: FeedForward | Dense) -> None:
        super().__init__()
        self.mixer, self.feed = mixer, feed
        self.norm_mixer, self.norm_feed = (nn.LayerNorm(mixer.config.dim) for _ in range(2))

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Tensor:
        mixed_BTD = self.mixer(self.norm_mixer(x_BTD), real_BT)
        if mixed_BTD.shape != x_BTD.shape:
            tokens, given = mixed_BTD.shape[1], x_BTD.shape[1]
            why = f"{tokens} tokens of {given}, so that no residual can go around it"
            raise Unsupported(f"{self.mixer.card.title} makes {why}")
        x_BTD = x_BTD + mixed_BTD
        return x_BTD + self.feed(self.norm_feed(x_BTD), real_BT)

    def decode(self, x_BD: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One token, as in `Decodable.decode`, by a mixer that is decodable."""
        assert isinstance(self.mixer, Decodable)
        mixed_BD, state = self.mixer.decode(self.norm_mixer(x_BD), state)
        x_BD = x_BD + mixed_BD
        return x_BD + self.feed.decode(self.norm_feed(x_BD)), state
