"""Two variants, of one sweep or of two, as an old and a new form of one and the same."""

from dataclasses import replace

from effattn_cli.errors import unknown
from effattn_cli.records import Profile


def rivals(old: Profile, new: Profile, labels: tuple[str, str]) -> tuple[Profile, Profile]:
    """The cells of the first variant in `old` and of the second in `new`, under a common name.

    `labels` are those of a table, with their options: `linformer:rank=64`. In one sweep the two
    were measured in turn, so that what the machine did meanwhile was done to both.

    Raises:
        UsageError: a profile has no such variant; the message names the nearest that it has.
    """
    name = " -> ".join(labels)
    before, after = (_only(*side, name) for side in zip((old, new), labels, strict=True))
    return before, after


def _only(profile: Profile, label: str, name: str) -> Profile:
    found = [record for record in profile.records if record.cell.label == label]
    if not found:
        there = {record.cell.label for record in profile.records}
        raise unknown("variant of the profile", label, there)
    records = (replace(r, cell=replace(r.cell, variant=name, options={})) for r in found)
    return replace(profile, records=tuple(records), variants={})
