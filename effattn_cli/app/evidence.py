"""The evaluations that speak of a choice: named ones, or the newest that is saved and those that
are shipped.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice

from effattn_cli import library
from effattn_cli.analysis.selection.candidates import Candidate, Requirements
from effattn_cli.analysis.selection.evidence import Task
from effattn_cli.app import Note
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import Evaluation
from effattn_cli.store import EVALUATION

NAMED = 3  # variants in a command that measures what is missing


def evaluations(names: Sequence[str], tell: Note) -> dict[str, Evaluation]:
    """By name, what counts more first; `tell` is given the name of one that nobody named.

    Raises:
        UsageError: one that is named is not there, or cannot be read.
    """
    if names:
        return {name: library.read_evaluation(name) for name in names}
    newest: dict[str, Evaluation] = {}
    for name in islice(library.newest(EVALUATION), 1):
        with suppress(UsageError):  # `effattn profiles` shows it, with the reason
            newest[name] = library.read_evaluation(name)
            tell(f"evidence from {name}")
    return newest | {name: library.read_evaluation(name) for name in library.references(EVALUATION)}


def of_other_code(candidates: Iterable[Candidate]) -> list[str]:
    """The labels of which something was measured with other code than the profile's."""
    return [
        one.label for one in candidates if any(not finding.same_code for finding in one.findings)
    ]


def refuse_unknown(candidates: Sequence[Candidate], required: Requirements) -> None:
    """A limit that nothing can be held to.

    Raises:
        UsageError: of none of those that could be chosen is it known.
    """
    for task, limit in required.evidence.items():
        asked = [one for one in candidates if one.rejection is None and _is_asked(one, task)]
        if asked and not any(_has(one, task) for one in asked):
            names = ",".join(one.label for one in asked[:NAMED])
            option = "" if task == "fidelity" else f" --task {task}"
            hint = f"effattn evaluate -v {names}{option} measures it; --evidence names a file"
            shown = f"{limit:g}"
            raise UsageError(f"--{task} {shown}: of none of these variants is it known", hint)


def _is_asked(one: Candidate, task: Task) -> bool:
    """Exact attention has no error, and of what is trained none is asked."""
    return task != "fidelity" or (one.quality.keeps_weights and not one.quality.exact)


def _has(one: Candidate, task: Task) -> bool:
    return any(finding.task == task for finding in one.findings)
