"""What evaluations say of the mixers that a layout puts into a model.

They are of a mixer alone. A model of which some layers stay as they are can be better than the
worst of its mixers; nothing that is known here says by how much.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from effattn_cli.analysis.model_layout import Layout
from effattn_cli.analysis.selection import evidence as measured
from effattn_cli.analysis.selection.evidence import TASKS, Evidence, Finding, Task, nearest
from effattn_cli.app import Note, evidence
from effattn_cli.app.model_layouts import Question, layer_swap
from effattn_cli.architecture import Mixer, Model
from effattn_cli.catalog import Catalog
from effattn_cli.evaluation import Evaluation
from effattn_cli.models.cells import mixer_cell
from effattn_cli.models.mixers import OF_PROJECTIONS
from effattn_cli.records import Cell
from effattn_cli.setting import Setting

QUANTISED = "quantised weights or caches"


def told(question: Question, layouts: Iterable[Layout], tell: Note) -> Iterator[Layout]:
    """The layouts with what is known of their mixers: of what is limited, else of all that the
    evaluations hold that are named.
    """
    if not question.limits.evidence and not question.evidence:
        yield from layouts
        return
    evaluations = evidence.evaluations(question.evidence, tell)
    tasks = tuple(question.limits.evidence) or _held(evaluations)
    reader = _Reader(question.model, evaluations)
    for layout in layouts:
        yield replace(layout, findings={task: reader.of(layout, task) for task in tasks})


def _held(evaluations: Mapping[str, Evaluation]) -> tuple[Task, ...]:
    """The tasks of which there is a result."""
    records = [record for one in evaluations.values() for record in one.records]
    held = {one.task for record in records for one in record.ability}
    fidelity = any(record.fidelity for record in records)
    return tuple(task for task in TASKS if task in held or (task == "fidelity" and fidelity))


class _Reader:
    """Reads evaluations by the layers of a model."""

    def __init__(self, model: Model, evaluations: Mapping[str, Evaluation]) -> None:
        self._model, self._evaluations, self._catalog = model, evaluations, Catalog()
        self._known = cache(self._evidence)

    def of(self, layout: Layout, task: Task) -> Mapping[str, Finding | None]:
        """What is known of each thing that the layout puts in; None: nothing is. Only what keeps
        the weights has an error, and what is exact has none.
        """
        findings: dict[str, Finding | None] = {}
        asked = {"lossy"} if task == "fidelity" else {"lossy", "trained"}
        for old, new in dict.fromkeys(zip(self._model.layers, layout.model.layers, strict=True)):
            swap = "as it is" if old == new else layer_swap(old, new, self._catalog)
            if new.mixer is not None and swap in asked:
                cell = self._cell(new.mixer, layout.deployment.context)
                of_cell = self._known(cell.setting, cell.variant).get(cell.label, ())
                findings[cell.label] = nearest(of_cell, cell.seq).get(task)
        if layout.quantised and layout.swap != "as it is" and task == "fidelity":
            findings[QUANTISED] = None
        return findings

    def _cell(self, mixer: Mixer, context: int) -> Cell:
        """The mixer as evaluations name it: a core, which has no options of projections."""
        own = {name: value for name, value in mixer.options.items() if name not in OF_PROJECTIONS}
        cell = mixer_cell(self._model, mixer, context, Setting())
        return Cell(variant=cell.variant, options=own, seq=context, setting=cell.setting)

    def _evidence(self, setting: Setting, variant: str) -> Evidence:
        codes = {variant: self._catalog.variant(variant).code}
        return measured.evidence(self._evaluations, setting, codes)
