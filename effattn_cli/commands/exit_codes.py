"""How a command that measures ends, by what failed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effattn_cli.records import Failure

SURPRISES = 3  # finished, but something failed in a way that nobody expects


def of(failures: "Iterable[Failure | None]", *, measured: bool) -> int:
    """The exit code; `measured`: whether anything was measured at all."""
    from effattn_cli.errors import NothingMeasured
    from effattn_cli.records import EXPECTED

    reasons = {failure.reason for failure in failures if failure is not None}
    if not measured:
        return NothingMeasured.exit_code
    return SURPRISES if reasons - EXPECTED else 0
