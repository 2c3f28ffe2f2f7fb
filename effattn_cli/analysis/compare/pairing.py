"""Two variants, or two engines, of one sweep or of two, as an old and a new form of one and the
same.
"""

from collections.abc import Callable

from msgspec.structs import replace

from effattn_cli.errors import unknown
from effattn_cli.records import Cell, Profile

Pair = tuple[str, str]


def paired(
    old: Profile, new: Profile, labels: Pair | None = None, engines: Pair | None = None
) -> tuple[Profile, Profile]:
    """The cells of the first variant or engine in `old` and of the second in `new`, under a common
    name.

    `labels` are those of a table, with their options: `linformer:rank=64`. In one sweep the two
    were measured in turn, so that what the machine did meanwhile was done to both.

    Raises:
        UsageError: a profile has no such cells; the message names the nearest that it has.
    """
    if labels is not None:
        name = " -> ".join(labels)
        old, new = (
            _only(
                side, label, "variant", lambda cell: cell.label, lambda cell: _renamed(cell, name)
            )
            for side, label in zip((old, new), labels, strict=True)
        )
    if engines is not None:
        old, new = (
            _only(side, engine, "engine", _engine, lambda cell: _run_by(cell, engines[1]))
            for side, engine in zip((old, new), engines, strict=True)
        )
    return old, new


def _renamed(cell: Cell, name: str) -> Cell:
    return replace(cell, variant=name, options={})


def _engine(cell: Cell) -> str:
    return cell.setting.engine


def _run_by(cell: Cell, engine: str) -> Cell:
    return replace(cell, setting=replace(cell.setting, engine=engine))


def _only(
    profile: Profile,
    wanted: str,
    what: str,
    of: Callable[[Cell], str],
    renamed: Callable[[Cell], Cell],
) -> Profile:
    """The cells of one variant or engine, under another name."""
    own = [record for record in profile.records if of(record.cell) == wanted]
    if not own:
        raise unknown(f"{what} of the profile", wanted, {of(r.cell) for r in profile.records})
    records = tuple(replace(record, cell=renamed(record.cell)) for record in own)
    named = {record.cell.variant for record in records} <= profile.variants.keys()
    return replace(profile, records=records, variants=profile.variants if named else {})
