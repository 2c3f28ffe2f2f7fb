"""Products of grouped rows, each group with its own matrix (grouped GEMM).

torch's own grouped product supports neither float64 nor float32 on fake tensors. These are custom
operators, so that their loops may read the ends of the groups: for autograd, fake tensors, counting
and compiling they are one step of a known shape. They are registered one by one, since the first
call of `custom_op` imports the compiler, which takes seconds. Letters: R rows, E groups.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

torch.library.define("effattn::grouped", "(Tensor x, Tensor w, Tensor end) -> Tensor")
torch.library.define("effattn::grouped_outer", "(Tensor x, Tensor y, Tensor end) -> Tensor")


def grouped(x_RD: Tensor, w_EDF: Tensor, end_E: Tensor) -> Tensor:
    """(R, F): the rows from end[e - 1] up to end[e] times w[e]; the rows after the last are 0."""
    product: Tensor = torch.ops.effattn.grouped(x_RD, w_EDF, end_E)
    return product


def grouped_outer(x_RD: Tensor, y_RF: Tensor, end_E: Tensor) -> Tensor:
    """(E, D, F): x^T y over the rows of each group."""
    product: Tensor = torch.ops.effattn.grouped_outer(x_RD, y_RF, end_E)
    return product


def _grouped(x_RD: Tensor, w_EDF: Tensor, end_E: Tensor) -> Tensor:
    y_RF = x_RD.new_empty(x_RD.shape[0], w_EDF.shape[2])
    begin = 0
    for w_DF, end in zip(w_EDF, end_E.tolist(), strict=True):
        torch.mm(x_RD[begin:end], w_DF, out=y_RF[begin:end])
        begin = end
    y_RF[begin:] = 0
    return y_RF


def _grouped_outer(x_RD: Tensor, y_RF: Tensor, end_E: Tensor) -> Tensor:
    w_EDF = x_RD.new_empty(end_E.shape[0], x_RD.shape[1], y_RF.shape[1])
    begin = 0
    for w_DF, end in zip(w_EDF, end_E.tolist(), strict=True):
        torch.mm(x_RD[begin:end].mT, y_RF[begin:end], out=w_DF)
        begin = end
    return w_EDF


def _fake(x_RD: Tensor, w_EDF: Tensor, end_E: Tensor) -> Tensor:  # noqa: ARG001
    return x_RD.new_empty(x_RD.shape[0], w_EDF.shape[2])


def _fake_outer(x_RD: Tensor, y_RF: Tensor, end_E: Tensor) -> Tensor:
    return x_RD.new_empty(end_E.shape[0], x_RD.shape[1], y_RF.shape[1])


def _keep(ctx: Any, inputs: Any, output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_RF: Tensor) -> tuple[Tensor, Tensor, None]:
    x_RD, w_EDF, end_E = ctx.saved_tensors
    return grouped(grad_RF, w_EDF.mT, end_E), grouped_outer(x_RD, grad_RF, end_E), None


for name, run, fake in (
    ("grouped", _grouped, _fake),
    ("grouped_outer", _grouped_outer, _fake_outer),
):
    torch.library.impl(f"effattn::{name}", "default", run)
    torch.library.register_fake(f"effattn::{name}", fake)
torch.library.register_autograd("effattn::grouped", _backward, setup_context=_keep)


@register_flop_formula([torch.ops.effattn.grouped, torch.ops.effattn.grouped_outer])
def _(x: Any, y: Any, _: Any, **__: Any) -> int:
    return 2 * x[0] * x[1] * y[-1]
