"""A plain `torch.nn.Module` from x to x as a variant, and what such a variant does not support."""

import inspect
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from effattn_cli.attention.layer import Layer
from effattn_cli.cards import PLAIN_PARAMETERS, Value, plain_card
from effattn_cli.errors import Unsupported


class PlainModule(Layer):
    """A module that maps (B, T, D) to (B, T, D), constructed by parameter names.

    A parameter named like a width of the setting (`dim` or `d_model`, `heads` or `num_heads`, ...)
    is set to it; any other with a plain default is an option. It has no core, takes no padding, and
    does not decode.
    """

    module_class: ClassVar[type[nn.Module]]

    @dataclass(frozen=True, kw_only=True)
    class Config(Layer.Config):
        heads: int = 8
        kv_heads: int | None = None
        head_dim: int | None = None

    @staticmethod
    def of(module_class: type[nn.Module]) -> "type[PlainModule]":
        """The variant that creates modules of this class."""
        parameters = _parameters(module_class)
        own = [
            (name, Any, parameter.default)
            for name, parameter in parameters.items()
            if name not in PLAIN_PARAMETERS and isinstance(parameter.default, Value | None)
        ]
        config = make_dataclass(
            "Config", own, bases=(PlainModule.Config,), frozen=True, kw_only=True
        )
        card = getattr(module_class, "card", None)
        if card is None:
            card = plain_card(module_class.__name__, set(parameters))
        about = {"__module__": module_class.__module__, "__doc__": module_class.__doc__}
        namespace = {"card": card, "module_class": module_class, "Config": config}
        return type(module_class.__name__, (PlainModule,), namespace | about)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        given = {name: getattr(config, name) for name in self.options()}
        for name in _parameters(self.module_class):
            if name in PLAIN_PARAMETERS:
                given[name] = self._known(PLAIN_PARAMETERS[name])
        self.module = self.module_class(**given)

    @classmethod
    def shape(cls) -> type[Layer.Config]:
        return PlainModule.Config

    def _known(self, name: str) -> Any:
        config: Any = self.config
        if name == "kv_heads":
            return config.kv_heads or config.heads
        if name == "head_dim":
            return config.head_dim or config.dim // config.heads
        return getattr(config, name)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """The module's output, or the first of several outputs."""
        if valid_BT is not None:
            raise Unsupported(f"{self.card.title} cannot be given padding")
        y = self.module(x_BTD)
        return y[0] if isinstance(y, tuple | list) else y


def _parameters(module_class: type[nn.Module]) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(module_class).parameters)
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: item for name, item in parameters.items() if item.kind not in many}
