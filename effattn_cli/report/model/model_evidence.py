"""What is known of the mixers that layouts put into a model, in the table of a choice."""

from collections.abc import Iterator, Mapping

from effattn_cli.analysis.model_choice import Option
from effattn_cli.analysis.selection.evidence import Finding, Task
from effattn_cli.app.model_choosing import Answer
from effattn_cli.app.model_evidence import QUANTISED
from effattn_cli.report.choice.evidence_words import LOADS
from effattn_cli.report.evaluation.fidelity_view import share
from effattn_cli.report.layout import Column

TITLES: Mapping[Task, str] = {"fidelity": "error", **LOADS}
NAMED = 3  # mixers in a command


def columns(answer: Answer) -> list[Column]:
    """One for each task of which something is asked."""
    return [Column(title=TITLES[task], right=True) for task in answer.own.layout.findings]


def cells(option: Option) -> list[str]:
    """Of the worst of the mixers that the layout puts in; nothing where it puts in none."""
    return [_worst(task, [*findings.values()]) for task, findings in option.layout.findings.items()]


def _worst(task: Task, findings: list[Finding | None]) -> str:
    values = [one.value for one in findings if one is not None]
    if len(values) < len(findings):
        return "?"
    if not values:
        return ""
    return share(max(values)) if task == "fidelity" else f"{min(values):g}"


def notes(answer: Answer) -> Iterator[str]:
    """What the columns mean, and what measures what is not known."""
    tasks = answer.own.layout.findings
    if not tasks:
        return
    yield (
        f"{', '.join(TITLES[task] for task in tasks)}: of the worst mixer that a layout puts in, by"
        " itself; what quantised weights or caches do is not measured."
    )
    for task in tasks:
        if labels := _unknown(answer, task):
            more = "" if task == "fidelity" else f" --task {task}"
            named = " -v ".join(labels[:NAMED])
            yield f"? {TITLES[task]}: effattn evaluate -v {named}{more} measures it."


def _unknown(answer: Answer, task: Task) -> list[str]:
    """The mixers of which it is not known."""
    findings = (option.layout.findings[task].items() for option in answer.options)
    unknown = [label for items in findings for label, finding in items if finding is None]
    return [label for label in dict.fromkeys(unknown) if label != QUANTISED]
