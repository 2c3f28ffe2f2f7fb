"""Whether a call gave what the contract asks for."""

from torch import Tensor

from effattn_cli.records import Cell


class NotFinite(ArithmeticError):
    """The output holds NaN or infinity."""


class WrongShape(ValueError):
    """The output does not have the shape or dtype that the contract asks for."""


def check(out: object, cell: Cell, width: int) -> None:
    """Looks at an output, without a copy of it.

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
