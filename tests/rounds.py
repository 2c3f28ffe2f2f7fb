"""Runs before and after a sweep went on."""

from collections.abc import Sequence

from msgspec.structs import replace

from effattn_cli.records import Run


def kept(old: Sequence[Run], new: Sequence[Run]) -> bool:
    """Whether the new runs begin with the old ones; a second try may have set samples aside."""
    return len(old) <= len(new) and all(map(_holds, new, old))


def _holds(new: Run, old: Run) -> bool:
    first = replace(new, discarded=new.discarded[: len(old.discarded)])
    return old == first or old.samples == new.discarded[-len(old.samples) :]
