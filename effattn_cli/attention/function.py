"""Makes a variant from a plain function."""

import inspect
from collections.abc import Callable, Mapping

from torch import Tensor

from effattn_cli.attention.inputs import QKV, Input
from effattn_cli.attention.mixer import Attention
from effattn_cli.cards import Card


def variant(
    *, card: Card, inputs: Mapping[str, Input] = QKV
) -> Callable[[Callable[..., Tensor]], type[Attention]]:
    """Makes a variant from a plain function of q, k and v, without options or weights.

    The function takes its inputs by position, in the order of `inputs`. It may also take `valid`,
    the mask of `attend`, and `causal`, as keyword arguments.
    """

    def made_of(function: Callable[..., Tensor]) -> type[Attention]:
        asked = inspect.signature(function).parameters

        def attend(self: Attention, *given: Tensor | None) -> Tensor:
            *tensors, valid = given if len(given) > len(inputs) else (*given, None)
            extras = {"valid": valid, "causal": self.causal}
            return function(*tensors, **{name: extras[name] for name in extras if name in asked})

        own = {"card": card, "inputs": inputs, "attend": attend}
        about = {"__module__": function.__module__, "__doc__": function.__doc__}
        return type(function.__name__, (Attention,), own | about)

    return made_of
