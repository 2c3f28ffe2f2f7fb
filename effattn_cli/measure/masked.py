"""FLOPs spent on scores that a mask then throws away, seen in a call that really runs.

Blocks and bands are scored whole, and a mask hides what the mechanism does not look at: such work
is executed, and counted, but of no use. Which scores are hidden can depend on the data.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from effattn_cli.measure.cost import products

#: Products that a hidden score costs, each two FLOPs for each of the head's numbers: with its key
#: and with its value; and in the backward the gradients of weight, value, query and key.
FORWARD, BACKWARD = 2, 4


class Masked(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up `flops` of what runs inside it, for heads of `width` numbers.

    It knows fused attention with a mask, softmax of scores at the lowest end of their dtype, and
    triangles cut out of scores.
    """

    def __init__(self, width: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.width = width
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        names = (argument.name for argument in func._schema.arguments)
        given = dict(zip(names, args, strict=False)) | kwargs
        mask = given.get("attn_mask", given.get("attn_bias"))
        if isinstance(mask, Tensor):
            self.flops += round(products(func, args, kwargs, out) * _share_hidden(mask))
        else:
            self.flops += self._around(func.overloadpacket.__name__.rstrip("_"), given, out)
        return out

    def _around(self, name: str, given: dict[str, Any], out: Any) -> int:
        """Of the products before and after an operator that hides scores."""
        each = 2 * self.width * FORWARD
        if name in {"_softmax", "_safe_softmax"}:
            return each * _hidden(given["self"])
        if name == "_softmax_backward_data":
            return each * BACKWARD // FORWARD * int((given["output"] == 0).sum())
        if name == "tril" and out.is_floating_point():
            backward = torch._C._current_graph_task_id() != -1
            above = torch.ones(out.shape[-2:], dtype=torch.bool).triu(given.get("diagonal", 0) + 1)
            cut = int(above.sum()) * out[..., 0, 0].numel()
            return each * cut * (BACKWARD // FORWARD if backward else 1)
        return 0


def _share_hidden(mask: Tensor) -> float:
    for dim, stride in enumerate(mask.stride()):
        if stride == 0:  # expanded: one of all alike is enough
            mask = mask.narrow(dim, 0, 1)
    return _hidden(mask) / mask.numel()


def _hidden(scores: Tensor) -> int:
    """How many have no weight: False, or so low that no score can be added to it and count."""
    if scores.dtype == torch.bool:
        return int((~scores).sum())
    return int((scores <= torch.finfo(scores.dtype).min / 4).sum())
