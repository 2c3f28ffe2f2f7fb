"""The contract of a variant: what a file of `variants/` or a plugin has to offer.

Shape letters: B batch, T tokens, D model width, H heads, G key-value heads, K head width.
A mask `real_BT` is True where a token is real; padding trails, so real tokens come first.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from effattn_cli.cards import Card, SurveyRow
from effattn_cli.errors import Unsupported
from effattn_cli.records import Usage

__all__ = [
    "Attention",
    "Card",
    "Decodable",
    "FeedForward",
    "SurveyRow",
    "Unsupported",
    "Usage",
    "merge_heads",
    "variant",
]


class Layer(nn.Module):
    """One half of a Transformer block: (B, T, D) to (B, T', D), around which a residual goes.

    A variant is a final class in a file of its own, a subclass of one of the two kinds below. It
    gives a `card` and a `Config` with its own knobs. The class docstring's first line is its
    summary in the catalogue.
    """

    card: ClassVar[Card]
    place: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The shape of a layer. A variant adds its own knobs, each with a default."""

        dim: int = 512
        tokens: int = 1024  # the longest sequence
        causal: bool = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.causal = config.causal
        if self.causal and self.card.causal == "never":
            raise Unsupported(f"{self.card.title} cannot be causal")
        if not self.causal and self.card.causal == "always":
            raise Unsupported(f"{self.card.title} is always causal")
        # Tells device and dtype where there is no weight to ask.
        self.register_buffer("place", torch.empty(0), persistent=False)

    def kept(self, real_BT: Tensor) -> Tensor:
        """Which outputs are real, (B, T'): the inputs that are, unless the variant downsamples."""
        return real_BT

    @classmethod
    def knobs(cls) -> tuple[str, ...]:
        """The names of the variant's own options."""
        kind = FeedForward if issubclass(cls, FeedForward) else Attention
        shared = {item.name for item in fields(kind.Config)}
        return tuple(item.name for item in fields(cls.Config) if item.name not in shared)


class FeedForward(Layer):
    """What stands in the place of the feed-forward; a variant gives `forward`.

    It maps each token by itself, or nearly so: a mixture of experts couples the tokens that want
    the same expert. Its card's kind is "feed-forward".
    """

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Tensor:
        """(B, T, D) to (B, T, D), without the residual; padded rows may hold anything finite."""
        raise NotImplementedError

    def decode(self, x_BD: Tensor) -> Tensor:
        """One token of each sequence: (B, D) to (B, D)."""
        return self(x_BD.unsqueeze(1)).squeeze(1)

    def usage(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Usage:  # noqa: ARG002
        """How much of it these tokens used: all, unless the variant knows better."""
        everything = sum(weight.numel() for weight in self.parameters())
        return Usage(total_parameters=everything, active_parameters=everything)


class Attention(Layer):
    """A sequence mixer; T' = T except for downsampling variants. A variant gives `attend`."""

    config: "Attention.Config"
    #: True if `attend` takes k and v with fewer heads than q; else they are repeated for it.
    grouped: ClassVar[bool] = False
    #: The inputs that have a projection of their own; Reformer's "qv" uses the query as the key.
    projects: ClassVar[str] = "qkv"

    @dataclass(frozen=True, kw_only=True)
    class Config(Layer.Config):
        heads: int = 8
        kv_heads: int | None = None
        head_dim: int | None = None
        core: bool = False  # the mechanism alone, without the projections around it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.heads = config.heads
        self.kv_heads = config.kv_heads or self.default_kv_heads(config.heads)
        self.head_dim = config.head_dim or config.dim // config.heads
        if config.head_dim is None and config.dim % self.heads:
            raise Unsupported(f"dim {config.dim} is not a multiple of {self.heads} heads")
        if self.heads % self.kv_heads:
            raise Unsupported(f"{self.heads} heads are not a multiple of {self.kv_heads} kv heads")
        self.projections = nn.ModuleDict({} if config.core else self.make_projections(config.dim))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        """The linear maps around the mechanism, by name; a variant may add to them."""
        wide, narrow = self.heads * self.head_dim, self.kv_heads * self.head_dim
        widths = {name: wide if name == "q" else narrow for name in self.projects}
        made: dict[str, nn.Module] = {
            name: nn.Linear(dim, width, bias=False) for name, width in widths.items()
        }
        return made | {"out": nn.Linear(wide, dim, bias=False)}

    @staticmethod
    def default_kv_heads(heads: int) -> int:
        """Key-value heads where the config names none."""
        return heads

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        """The mechanism itself: queries, keys and values to the mixed values (B, H, T', K).

        `k_BHTK` and `v_BHTK` have `kv_heads` heads where the class is `grouped`. Rows of the
        result at padded positions may hold anything finite.
        """
        raise NotImplementedError

    def mix(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        """`attend`, with the key-value heads repeated for a variant that is not grouped."""
        return self.attend(q_BHTK, self._repeat(k_BGTK), self._repeat(v_BGTK), real_BT)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The inputs of `mix`; (B, 1, D) gives those of one decoding step."""
        made = {name: self._split(self.projections[name](x_BTD)) for name in self.projects}
        return made["q"], made.get("k", made["q"]), made.get("v", made["q"])

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Tensor:
        """The whole layer: project, mix, merge the heads, project."""
        return self.projections["out"](merge_heads(self.mix(*self.project(x_BTD), real_BT)))

    def _split(self, y_BTE: Tensor) -> Tensor:
        B, T, E = y_BTE.shape
        return y_BTE.view(B, T, E // self.head_dim, self.head_dim).transpose(1, 2)

    def _repeat(self, k_BGTK: Tensor) -> Tensor:
        return k_BGTK if self.grouped else every_head(k_BGTK, self.heads)


def every_head(x_BGTK: Tensor, heads: int) -> Tensor:
    """Each kv head as often as query heads use it (B, H, T, K): query head h uses kv head
    h // (H / G), as in GQA (arXiv:2305.13245).
    """
    times = heads // x_BGTK.shape[1]
    return x_BGTK if times == 1 else x_BGTK.repeat_interleave(times, dim=1)


def merge_heads(y_BHTK: Tensor) -> Tensor:
    """(B, H, T, K) to (B, T, H K)."""
    return y_BHTK.transpose(1, 2).flatten(2)


State = TypeVar("State")


class Decodable(Attention, Generic[State]):
    """A variant that can produce token by token. Decode support is this type, not a flag.

    A state is a dataclass of tensors. `step` may write into the tensors of the state it is given,
    but only where a later state looks: stepping twice from one state gives the same answer twice.
    """

    def start(self, batch: int, context: int) -> State:
        """The state after `context` tokens of random content, made without running them.

        `start(batch, 0)` is the empty state. Room for `config.tokens` tokens in all.
        """
        raise NotImplementedError

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """One token: mixed values (B, H, K), and the state that holds the token too."""
        raise NotImplementedError

    def mix_step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """`step`, with the key-value heads repeated for a variant that is not grouped."""
        return self.step(q_BHK, self._repeat(k_BGK), self._repeat(v_BGK), state)

    def decode(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        """One token through the whole layer: (B, D) to (B, D)."""
        q_BHK, k_BGK, v_BGK = (part.squeeze(2) for part in self.project(x_BD.unsqueeze(1)))
        y_BHK, state = self.mix_step(q_BHK, k_BGK, v_BGK, state)
        return self.projections["out"](y_BHK.flatten(1)), state

    def blank(self, *shape: int, random: bool = False) -> Tensor:
        """A tensor for a state, on the layer's device and in its dtype; zeros unless random."""
        make: Any = torch.randn if random else torch.zeros
        return make(*shape, device=self.place.device, dtype=self.place.dtype)


def variant(*, card: Card) -> Callable[[Callable[..., Tensor]], type[Attention]]:
    """Makes a variant of a plain function of q, k and v, which has no knobs and no weights.

    The function may also take `real`, the mask of `attend`, and `causal`, by these names.
    """

    def made_of(function: Callable[..., Tensor]) -> type[Attention]:
        asked = inspect.signature(function).parameters

        def attend(
            self: Attention, q: Tensor, k: Tensor, v: Tensor, real: Tensor | None = None
        ) -> Tensor:
            more = {"real": real, "causal": self.causal}
            return function(q, k, v, **{name: more[name] for name in more if name in asked})

        known = {"card": card, "attend": attend}
        about = {"__module__": function.__module__, "__doc__": function.__doc__}
        return type(function.__name__, (Attention,), known | about)

    return made_of
