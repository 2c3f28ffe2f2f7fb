"""What is sent to another machine, and what comes back from it."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from effattn_cli.errors import EffattnError


class Errand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command of effattn to run in a folder of its own, with the files that it reads."""

    words: tuple[str, ...]  # behind `effattn`
    files: Mapping[str, bytes]  # by their paths in the folder
    profile: str  # the file that grows


class Line(Struct, frozen=True, tag="line", forbid_unknown_fields=True):
    """A line for people."""

    text: str


class Grown(Struct, frozen=True, tag="grown", forbid_unknown_fields=True):
    """The profile from the byte `start` on; what came before it stands, what was behind is void."""

    start: int
    data: bytes


class Ended(Struct, frozen=True, tag="ended", forbid_unknown_fields=True):
    """The command has ended by itself; a negative code is the signal that killed it."""

    code: int


Event = Line | Grown | Ended


class Lost(EffattnError):
    """A link, a job or a node is gone, and nobody knows how the command would have ended."""


class Run(Protocol):
    """An errand that is being carried out elsewhere."""

    def events(self) -> Iterator[Event]:
        """What comes back, until `Ended`.

        Raises:
            Lost: there will be no `Ended`.
        """
        ...

    def stop(self) -> None:
        """Asks the sweep to save and end; its last events still come."""
        ...

    def abandon(self) -> None:
        """Waits for nothing more; what runs elsewhere ends by itself."""
        ...
