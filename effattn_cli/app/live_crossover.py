"""Crossovers that are measured now: only the lengths that pin them down."""

from effattn_cli.app import Note
from effattn_cli.errors import NothingMeasured, UsageError
from effattn_cli.records import Profile
from effattn_cli.run.context import RunContext
from effattn_cli.run.crossover_search import CrossoverSearch

#: What is meant where nothing is said.
USUAL = {"seq": "256..64k", "time_budget": "60s"}


def refuse_nothing_to_cross(wanted: Profile) -> None:
    """
    Raises:
        UsageError: there is no baseline, or nothing beside it.
    """
    if wanted.baseline is None:
        raise UsageError("--baseline none leaves nothing to cross")
    if {record.cell.label for record in wanted.records} == {wanted.baseline}:
        hint = "effattn crossover -v linformer"
        raise UsageError(f"nothing but the baseline {wanted.baseline!r} is named", hint)


def searched(wanted: Profile, context: RunContext, note: Note) -> Profile:
    """The profile of the lengths that were measured."""
    profile = CrossoverSearch(wanted, context).run()
    there = {record.cell.label for record in profile.records if record.runs}
    if not there:
        raise NothingMeasured("nothing could be measured within the limits")
    labels = dict.fromkeys(record.cell.label for record in wanted.records)
    if missing := [label for label in labels if label not in there]:
        why = "not within the limits; --time-budget gives more time"
        note(f"not measured: {', '.join(missing)}: {why}")
    return profile
