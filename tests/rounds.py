"""Rounds before and after a run went on."""

from collections.abc import Sequence
from dataclasses import replace

from effattn_cli.records import Round


def kept(old: Sequence[Round], new: Sequence[Round]) -> bool:
    """Whether the new rounds begin with the old ones; a second try may have set samples aside."""
    return len(old) <= len(new) and all(map(_holds, new, old))


def _holds(new: Round, old: Round) -> bool:
    first = replace(new, contended=new.contended[: len(old.contended)])
    return old == first or old.samples == new.contended[-len(old.samples) :]
