"""What evaluations say of the mixers that layouts put into a model."""

from collections.abc import Mapping

import pytest

from effattn_cli.analysis.model_choice import Limits
from effattn_cli.analysis.selection.evidence import Finding, Task
from effattn_cli.app.model_evidence import QUANTISED, told
from effattn_cli.app.model_layouts import Question, layouts
from effattn_cli.models import presets
from effattn_cli.models.budget import Deployment

MODEL = presets.model("llama-3-8b")


def findings(*replaced: str, limits: Limits) -> list[Mapping[Task, Mapping[str, Finding | None]]]:
    question = Question(
        model=MODEL, deployment=Deployment(context=4096), limits=limits, setting={},
        replacements=replaced, evidence=("ref:fidelity",),
    )  # fmt: skip
    found = told(question, layouts(question), tell=lambda _: None)
    return [layout.findings for layout in found]


def test_a_window_has_the_error_of_its_core_whatever_its_positions() -> None:
    own, window = findings("full=sliding-window", limits=Limits(evidence={"fidelity": 0.5}))
    assert own == {"fidelity": {}}
    assert list(window["fidelity"]) == ["sliding-window"]
    found = window["fidelity"]["sliding-window"]
    assert found is not None
    assert (found.seq, found.source) == (4096, "ref:fidelity")
    assert 0.1 < found.value < 1


def test_what_nobody_measured_is_not_known() -> None:
    _, window = findings("full=sliding-window:window=77", limits=Limits(evidence={"fidelity": 0.5}))
    assert window == {"fidelity": {"sliding-window:window=77": None}}


def test_what_is_trained_has_no_error_and_what_is_exact_neither() -> None:
    _, trained = findings("full=gated-deltanet", limits=Limits(evidence={"fidelity": 0.5}))
    assert trained == {"fidelity": {}}
    _, trained = findings("full=gated-deltanet", limits=Limits(evidence={"recall": 8}))
    assert trained == {"recall": {"gated-deltanet": None}}
    _, exact = findings("full=softmax", limits=Limits(evidence={"fidelity": 0.5, "recall": 8}))
    assert exact == {"fidelity": {}, "recall": {}}


def test_of_quantised_forms_no_error_is_known() -> None:
    question = Question(
        model=MODEL,
        deployment=Deployment(context=4096),
        limits=Limits(evidence={"fidelity": 0.5}),
        setting={},
    )
    found = [*told(question, layouts(question), tell=lambda _: None)]
    assert {QUANTISED in one.findings["fidelity"] for one in found if one.quantised} == {True}
    assert found[0].findings == {"fidelity": {}}


def test_without_a_limit_nothing_is_read() -> None:
    question = Question(
        model=MODEL, deployment=Deployment(context=4096), limits=Limits(memory=1), setting={}
    )
    found = [*told(question, layouts(question), tell=lambda _: None)]
    assert {len(one.findings) for one in found} == {0}


@pytest.mark.parametrize(
    ("name", "tasks"), [("ref:fidelity", {"fidelity"}), ("ref:abilities", {"update", "parity"})]
)
def test_without_a_limit_all_that_a_named_evaluation_holds_is_told(
    name: str, tasks: set[str]
) -> None:
    question = Question(
        model=MODEL, deployment=Deployment(context=4096), limits=Limits(memory=1), setting={},
        evidence=(name,),
    )  # fmt: skip
    found = [*told(question, layouts(question), tell=lambda _: None)]
    assert {task for one in found for task in one.findings} == tasks
