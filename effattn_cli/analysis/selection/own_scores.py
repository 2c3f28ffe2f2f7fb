"""Scores that a profile holds of its variants' quality: entered, and joined over profiles."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from effattn_cli.errors import UsageError, unknown
from effattn_cli.records import Profile, Scores


def scored(
    profile: Profile, values: Mapping[str, float], of: str, *, force: bool = False
) -> Profile:
    """The profile with these scores, by label, beside those that it has of the same.

    Raises:
        UsageError: it has no such variant, or holds scores of something else and is not forced.
    """
    labels = {record.cell.label for record in profile.records}
    for label in values:
        if label not in labels:
            raise unknown("variant of the profile", label, labels)
    kept = profile.scores
    if kept is None or (force and kept.of != of):
        kept = Scores(of=of, values={})
    if kept.of != of:
        raise UsageError(f"the profile holds scores of {kept.of!r}", "--force replaces them")
    return replace(profile, scores=replace(kept, values={**kept.values, **values}))


def joined(profiles: Iterable[Profile]) -> Scores | None:
    """The scores of all that tell of the same as the first that has any; the first of each counts.

    Raises:
        UsageError: two tell of different things.
    """
    combined: Scores | None = None
    for scores in (profile.scores for profile in profiles):
        if combined is None or scores is None:
            combined = combined or scores
        elif scores.of != combined.of:
            raise UsageError(
                f"the profiles hold scores of different things: {combined.of!r} and {scores.of!r}",
                "take one profile, or enter the same scores in both: effattn score",
            )
        else:
            combined = replace(combined, values={**scores.values, **combined.values})
    return combined
