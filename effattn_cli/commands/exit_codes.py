"""How a command that measures ends, by what failed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effattn_cli.records import Failure

SURPRISES = 3  # finished, but something failed in a way that nobody expects


def of(failures: "Iterable[Failure | None]", *, found: bool) -> int:
    """The exit code; `found`: whether anything was measured at all."""
    from effattn_cli.errors import NothingMeasured
    from effattn_cli.records import EXPECTED

    reasons = {failure.reason for failure in failures if failure is not None}
    if not found:
        return NothingMeasured.exit_code
    return SURPRISES if reasons - EXPECTED else 0
