"""Tests whether the output of a call has the required shape, dtype and finite values."""

from torch import Tensor

from effattn_cli.records import Cell


class NotFinite(ArithmeticError):
    """The output contains NaN or infinity."""


class WrongShape(ValueError):
    """The output does not have the required shape or dtype."""


def check(out: object, cell: Cell, width: int) -> None:
    """Tests an output without copying it.

    Raises:
        WrongShape: it is no tensor, or not (B, ..., `width`).
        NotFinite: it holds NaN or infinity.
    """
    batch = cell.setting.batch
    if not isinstance(out, Tensor) or out.shape[0] != batch or out.shape[-1] != width:
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise WrongShape(f"the output is {got}, expected ({batch}, ..., {width})")
    if out.numel() and not all(end.isfinite() for end in out.detach().aminmax()):
        raise NotFinite("the output holds NaN or infinity")
