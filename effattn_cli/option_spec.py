"""What a command line has to know of an option, whoever declares it."""

from dataclasses import dataclass
from typing import Any, Literal

Section = Literal["What to sweep", "Shapes", "Execution", "Limits and sampling"]


@dataclass(frozen=True, kw_only=True)
class OptionSpec:
    """The type and the usual value are those of the field that it stands at."""

    help: str
    metavar: str = ""
    short: str = ""  # the option's short form
    section: Section = "What to sweep"
    default: str = ""  # what help shows, where that is not the usual value
    switch: bool = False  # an option without a value, with a `--no-` form
    #: Whose names complete it.
    completion: Literal["", "variant", "model", "family", "task", "regime", "engine"] = ""


def specs(record: type) -> dict[str, Any]:
    """The `OptionSpec` of each field that has one, by its name."""
    return {
        name: mark
        for name, hint in record.__annotations__.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, OptionSpec)
    }
