"""A variant that mixes the tokens of a sequence: inputs from projections, a core, an output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from effattn_cli.attention.inputs import QKV, Input
from effattn_cli.attention.layer import Layer
from effattn_cli.errors import Unsupported


class Attention(Layer):
    """A sequence mixer; T' = T except for downsampling variants. A variant gives `attend`.

    The layer projects x to the inputs of its core (`project`), mixes them (`attend`), and merges
    the heads (`output`). In the scope `core` only `attend` runs, on random inputs.
    """

    #: What the core is given, by name and in the order of `attend`.
    inputs: ClassVar[Mapping[str, Input]] = QKV
    #: True if `attend` takes k and v with fewer heads than q; else they are repeated for it.
    grouped: ClassVar[bool] = False
    #: Query heads that share a kv head at least, where the config does not number the kv heads.
    kv_share: ClassVar[int] = 1
    #: The inputs that have a projection of their own, all unless a variant says less: where
    #: Reformer's ("q", "v") leave one out, the query stands for it.
    projects: ClassVar[tuple[str, ...] | None] = None

    @dataclass(frozen=True, kw_only=True)
    class Config(Layer.Config):
        heads: int = 8
        kv_heads: int | None = None
        head_dim: int | None = None
        core: bool = False  # the mechanism alone, without the projections around it

        @property
        def head_width(self) -> int:
            """The width of a head, given or what the heads leave of the layer's."""
            return self.head_dim or self.dim // self.heads

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.heads = config.heads
        self.kv_heads = config.kv_heads or self.default_kv_heads(config.heads)
        self.head_dim = config.head_width
        if config.head_dim is None and config.dim % self.heads:
            raise Unsupported(f"dim {config.dim} is not a multiple of {self.heads} heads")
        if self.heads % self.kv_heads:
            raise Unsupported(f"{self.heads} heads are not a multiple of {self.kv_heads} kv heads")
        self.projections = nn.ModuleDict({} if config.core else self.make_projections(config.dim))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        """The linear maps around the mechanism, by name; a variant may add to them."""
        made: dict[str, nn.Module] = {
            name: nn.Linear(dim, self.inputs[name].numbers(self), bias=False)
            for name in self.projected
        }
        return made | {"out": nn.Linear(self.heads * self.value_dim, dim, bias=False)}

    @property
    def projected(self) -> tuple[str, ...]:
        """The names of the inputs that have a projection of their own."""
        return tuple(self.inputs) if self.projects is None else self.projects

    @property
    def value_dim(self) -> int:
        """The width of a head of the output: that of a value."""
        width = self.inputs["v"].sizes(self)[1] if "v" in self.inputs else None
        return width or self.head_dim

    @classmethod
    def default_kv_heads(cls, heads: int) -> int:
        """Key-value heads where the config names none: the most that divide the heads and are
        shared by `kv_share` of them at least, or one.
        """
        return max((n for n in range(1, heads // cls.kv_share + 1) if heads % n == 0), default=1)

    @classmethod
    def shape(cls) -> "type[Layer.Config]":
        return Attention.Config

    def attend(self, *inputs: Any, **more: Any) -> Tensor:
        """The mechanism itself: `attend(q_BHTK, k_BHTK, v_BHTK, valid_BT)` gives the mixed values,
        (B, H, T', V), V being the width of a value.

        The inputs come in the order in which `inputs` declares them, and then the mask, which may
        be None. Those of `kv_heads` have as many heads where the class is `grouped`; else they are
        repeated. Rows of the result at padded positions may hold anything finite.
        """
        raise NotImplementedError

    def mix(self, *given: Tensor | None) -> Tensor:
        """`attend`, with the key-value heads repeated for a variant that is not grouped; the mask
        is the last of what is given, behind the inputs.
        """
        number = len(self.inputs)
        return self.attend(*self.repeated(given[:number]), *given[number:])

    def repeated(self, given: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """The inputs, with the key-value heads as often as query heads use them, unless the
        variant is grouped.
        """
        if self.grouped or self.kv_heads == self.heads:
            return given
        return tuple(
            repeat_kv(tensor, self.heads) if spec.heads == "kv_heads" else tensor
            for spec, tensor in zip(self.inputs.values(), given, strict=True)
        )

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        """The inputs of `mix`, in order; (B, 1, D) gives those of one decoding step."""
        return self.project_each(dict.fromkeys(self.projected, x_BTD))

    def project_each(self, tokens: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The same, each from its own tokens: queries of some, say, and keys and values of all."""
        made = {name: self.split(name, self.projections[name](x)) for name, x in tokens.items()}
        return tuple(made[name] if name in made else made["q"] for name in self.inputs)

    def split(self, name: str, y_BTE: Tensor) -> Tensor:
        """A projection as the core takes the input of that name: (B, H, T, K)."""
        return self.inputs[name].split(self, y_BTE)

    def output(self, y_BHTV: Tensor) -> Tensor:
        """The layer's output (B, T', D) from the mixed values: heads merged, and projected."""
        out: Tensor = self.projections["out"](merge_heads(y_BHTV))
        return out

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """The whole layer: project, mix, merge the heads, project."""
        return self.output(self.mix(*self.project(x_BTD), valid_BT))


def repeat_kv(x_BGTK: Tensor, heads: int) -> Tensor:
    """Each kv head as often as query heads use it (B, H, T, K): query head h uses kv head
    h // (H / G), as in GQA (arXiv:2305.13245).
    """
    times = heads // x_BGTK.shape[1]
    return x_BGTK if times == 1 else x_BGTK.repeat_interleave(times, dim=1)


def merge_heads(y_BHTK: Tensor) -> Tensor:
    """(B, H, T, K) to (B, T, H K)."""
    return y_BHTK.transpose(1, 2).flatten(2)
