"""A variant that mixes the tokens of a sequence: input projections, a core, an output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from effattn_cli.attention.inputs import QKV, Input
from effattn_cli.attention.layer import Layer
from effattn_cli.errors import Unsupported


class Attention(Layer):
    """A sequence mixer; T' = T except for downsampling variants. A variant defines `attend`.

    The layer projects x to the inputs of its core (`project`), mixes them (`attend`), and merges
    the heads (`output`). In the scope `core` only `attend` runs, on random inputs.
    """

    #: The inputs of the core, by name and in the order of `attend`.
    inputs: ClassVar[Mapping[str, Input]] = QKV
    #: True if `attend` takes k and v with fewer heads than q; otherwise they are repeated for it.
    grouped: ClassVar[bool] = False
    #: Minimum number of query heads per kv head, if the config does not set the kv heads.
    kv_share: ClassVar[int] = 1
    #: The inputs that have their own projection; by default all. Where one is left out, as k in
    #: Reformer's ("q", "v"), the query is used for it.
    projects: ClassVar[tuple[str, ...] | None] = None

    @dataclass(frozen=True, kw_only=True)
    class Config(Layer.Config):
        heads: int = 8
        kv_heads: int | None = None
        head_dim: int | None = None
        core: bool = False  # the mechanism alone, without the projections around it

        @property
        def head_width(self) -> int:
            """The width of a head: as given, or the layer's width divided by the heads."""
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
        """The linear maps around the mechanism, by name; a variant may add some."""
        made: dict[str, nn.Module] = {
            name: nn.Linear(dim, self.inputs[name].numbers(self), bias=False)
            for name in self.projected
        }
        return made | {"out": nn.Linear(self.heads * self.value_dim, dim, bias=False)}

    @property
    def projected(self) -> tuple[str, ...]:
        """The names of the inputs that have their own projection."""
        return tuple(self.inputs) if self.projects is None else self.projects

    @property
    def value_dim(self) -> int:
        """The width of a head of the output, which is that of a value."""
        width = self.inputs["v"].sizes(self)[1] if "v" in self.inputs else None
        return width or self.head_dim

    @classmethod
    def default_kv_heads(cls, heads: int) -> int:
        """Key-value heads if the config sets none: the largest divisor of the heads such that at
        least `kv_share` of them share each, or one.
        """
        return max((n for n in range(1, heads // cls.kv_share + 1) if heads % n == 0), default=1)

    @classmethod
    def shape(cls) -> "type[Layer.Config]":
        return Attention.Config

    def attend(self, *inputs: Any, **more: Any) -> Tensor:
        """The mechanism itself: `attend(q_BHTK, k_BHTK, v_BHTK, valid_BT)` returns the mixed
        values, (B, H, T', V), V being the width of a value.

        The inputs come in the order in which `inputs` declares them, followed by the mask, which
        may be None. Inputs with `kv_heads` heads keep them if the class is `grouped`; otherwise
        they are repeated. Rows of the result at padded positions may hold any finite values.
        """
        raise NotImplementedError

    def mix(self, *given: Tensor | None) -> Tensor:
        """`attend`, with the key-value heads repeated for a variant that is not grouped; the mask
        is the last argument, after the inputs.
        """
        number = len(self.inputs)
        return self.attend(*self.repeated(given[:number]), *given[number:])

    def repeated(self, given: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """The inputs, with the key-value heads repeated to match the query heads, unless the
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
        """The same, each from its own tokens: for example, queries of some and keys of all."""
        made = {name: self.split(name, self.projections[name](x)) for name, x in tokens.items()}
        return tuple(made[name] if name in made else made["q"] for name in self.inputs)

    def split(self, name: str, y_BTE: Tensor) -> Tensor:
        """Reshapes the projection of the named input for the core: (B, H, T, K)."""
        return self.inputs[name].split(self, y_BTE)

    def output(self, y_BHTV: Tensor) -> Tensor:
        """The layer's output (B, T', D) from the mixed values: merges the heads, and projects."""
        out: Tensor = self.projections["out"](merge_heads(y_BHTV))
        return out

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """The whole layer: project, mix, merge the heads, project."""
        return self.output(self.mix(*self.project(x_BTD), valid_BT))


def repeat_kv(x_BGTK: Tensor, heads: int) -> Tensor:
    """Each kv head repeated to match the query heads, (B, H, T, K): query head h uses kv head
    h // (H / G), as in GQA (arXiv:2305.13245).
    """
    times = heads // x_BGTK.shape[1]
    return x_BGTK if times == 1 else x_BGTK.repeat_interleave(times, dim=1)


def merge_heads(y_BHTK: Tensor) -> Tensor:
    """(B, H, T, K) to (B, T, H K)."""
    return y_BHTK.transpose(1, 2).flatten(2)
