"""A part of a saved profile, as it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from effattn_cli.analysis.selection.filters import matching, of_lengths, of_variants
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which cells are meant; all, where nothing is said."""

    variants: Sequence[str] = ()  # names or labels, with commas between them
    seq: str | None = None  # lengths, as they are typed
    setting: Mapping[str, Any] = field(default_factory=dict)  # the values on axes


def parts_of(profiles: Mapping[str, Profile], part: Part) -> dict[str, Profile]:
    """Of several profiles, by name, those that have such cells.

    Raises:
        UsageError: none has.
    """
    parts: dict[str, Profile] = {}
    first: UsageError | None = None
    for name, profile in profiles.items():
        try:
            parts[name] = part_of(profile, part)
        except UsageError as error:
            first = first or error
    if first is not None and not parts:
        raise first
    return parts


def part_of(profile: Profile, part: Part) -> Profile:
    """The profile with these of its cells; the baseline stays beside the variants that are named.

    Raises:
        UsageError: there are none.
    """
    if not (part.variants or part.seq or part.setting):
        return profile
    if not profile.records:
        raise UsageError("the profile holds no records")
    records = matching(profile.records, part.setting)
    records = of_lengths(of_variants(records, part.variants, profile.baseline), part.seq)
    return replace(profile, records=tuple(records))
