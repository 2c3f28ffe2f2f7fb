"""Two variants, of one sweep or of two, as an old and a new form of one and the same."""

from msgspec.structs import replace

from effattn_cli.errors import unknown
from effattn_cli.records import Profile


def paired(old: Profile, new: Profile, labels: tuple[str, str]) -> tuple[Profile, Profile]:
    """The cells of the first variant in `old` and of the second in `new`, under a common name.

    `labels` are those of a table, with their options: `linformer:rank=64`. In one sweep the two
    were measured in turn, so that what the machine did meanwhile was done to both.

    Raises:
        UsageError: a profile has no such variant; the message names the nearest that it has.
    """
    name = " -> ".join(labels)
    return _only(old, labels[0], name), _only(new, labels[1], name)


def _only(profile: Profile, label: str, name: str) -> Profile:
    """The cells of one variant, under another name."""
    own = [record for record in profile.records if record.cell.label == label]
    if not own:
        labels = {record.cell.label for record in profile.records}
        raise unknown("variant of the profile", label, labels)
    records = (replace(r, cell=replace(r.cell, variant=name, options={})) for r in own)
    return replace(profile, records=tuple(records), variants={})
