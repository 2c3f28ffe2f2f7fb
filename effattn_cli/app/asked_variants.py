"""Which of the candidates of a choice are meant: by label, by name, or by a word for many."""

from collections.abc import Sequence

from effattn_cli.analysis.selection.candidates import Candidate
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.variant_choices import select


def asked_for(candidates: Sequence[Candidate], words: Sequence[str]) -> list[Candidate]:
    """Those that the words name: by label, as `linformer:rank=64`, or by the name of a variant,
    with whatever options; `family:linear` and the like stand for what they do in a sweep.

    Raises:
        UsageError: a word names none of them.
    """
    if not words:
        return list(candidates)
    kept: set[str] = set()
    items = [item.strip() for word in words for item in word.split(",")]
    for item in _whole_labels(items):
        names = {one.label for one in candidates if item in {one.label, one.variant}}
        names = names or {one.label for one in candidates if one.variant in _names(item)}
        if not names:
            raise unknown("variant of the profiles", item, [one.label for one in candidates])
        kept |= names
    return [one for one in candidates if one.label in kept]


def _whole_labels(items: Sequence[str]) -> list[str]:
    """`a:x=1`, `y=2` are one label, which has a comma in it."""
    whole: list[str] = []
    for item in items:
        if whole and "=" in item and ":" not in item:
            whole[-1] += f",{item}"
        else:
            whole.append(item)
    return whole


def _names(item: str) -> set[str]:
    """The variants that a word stands for in a sweep; none where it is no such word."""
    try:
        return {choice.name for choice in select((item,), Catalog()) if not choice.options}
    except (UsageError, BrokenPlugin):
        return set()
