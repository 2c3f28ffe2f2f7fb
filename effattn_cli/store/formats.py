"""The kinds of files that hold records of cells, and in what they differ: one entry for each.

All else is the same for every kind: a heading, the variants by name, then records, of which a later
one of a cell takes the place of an earlier one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from effattn_cli.evaluation import Evaluation, Evidence
from effattn_cli.records import Profile, Record
from effattn_cli.store import upgrading
from effattn_cli.store.upgrading import DocumentT

Document = Profile | Evaluation
Row = Record | Evidence


@dataclass(frozen=True, kw_only=True)
class Format(Generic[DocumentT]):
    """A kind of file."""

    noun: str
    kind: type[DocumentT]
    record: type[Row]
    schema: int  # the newest version
    title: str  # the file's first line
    listed: frozenset[str]  # fields of a record whose items have a line each
    #: Of a file of an earlier version: the head and a record, as the present one has them.
    old_head: Callable[[dict[str, Any]], dict[str, Any]] = lambda data: data
    old_record: Callable[[Any], Any] = lambda data: data

    @property
    def key(self) -> str:
        """The key that holds the version, and tells the kind."""
        return f"effattn_{self.noun}"

    @property
    def folder(self) -> str:
        """Where such files are in the user's data folder."""
        return f"{self.noun}s"

    @property
    def shipped(self) -> str:
        """Where those are that come with effattn: in `profiles/`."""
        return "profiles" if self.noun == "profile" else f"profiles/{self.folder}"


PROFILE = Format(
    noun="profile",
    kind=Profile,
    record=Record,
    schema=2,
    title="# A profile written by effattn. Seconds, bytes, FLOPs; a multiply-add is two.\n",
    listed=frozenset({"runs"}),
    old_head=upgrading.head,
    old_record=upgrading.record,
)
EVALUATION = Format(
    noun="evaluation",
    kind=Evaluation,
    record=Evidence,
    schema=1,
    title="# An evaluation written by effattn: fidelity to exact attention, abilities learned.\n",
    listed=frozenset({"fidelity", "ability"}),
)
FORMATS: Mapping[type, Format[Any]] = {form.kind: form for form in (PROFILE, EVALUATION)}
