"""Choosing a layout: what fits, what is preferred, what looser limits do."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis import model_choice
from effattn_cli.analysis.model_choice import Limits, Option
from effattn_cli.analysis.model_layout import Layout
from effattn_cli.analysis.model_time import Times
from effattn_cli.analysis.selection.evidence import Finding, Task
from effattn_cli.app.model_layouts import Question, layouts, swap_of
from effattn_cli.catalog import Catalog
from effattn_cli.models import presets
from effattn_cli.models.budget import Deployment, memory
from effattn_cli.models.cells import parts
from effattn_cli.plan.model_choices import arranged
from effattn_cli.setting import Cache, Setting
from tests.builders import measured

GIB = 2**30
MODEL = presets.model("llama-3.2-1b")
RUN = Deployment(context=8192)
HERE = Setting(dtype="bfloat16", threads=2)
#: Seconds of a layer with each mixer, reading the prompt and making a token.
SECONDS = {
    "gqa": (0.4, 0.010), "sliding-window": (0.2, 0.006), "gated-deltanet": (0.3, 0.003),
}  # fmt: skip


def every_layout() -> list[Layout]:
    replaced = ("full=sliding-window:window=1024", "full=gated-deltanet")
    asked = [
        Question(
            model=MODEL, deployment=RUN, limits=Limits(), setting={}, replacements=(text,),
            keep="1/2,0",
        )
        for text in replaced
    ]  # fmt: skip
    found = {layout.name: layout for question in asked for layout in layouts(question)}
    return list(found.values())


def times(cache: Cache = "warm") -> Times:
    """With steps of decoding that were measured in that way."""
    settings = (HERE, replace(HERE, phase="decode", cache=cache))
    records = {}
    for layout in every_layout():
        for place, setting in enumerate(settings):
            for part in parts(layout.model, RUN.context, setting):
                seconds = SECONDS.get(part.cell.variant, (0.001, 0.001))[place]
                records[part.cell] = measured(part.cell, seconds)
    return Times(records.values(), ())


LAYOUTS, TIMES = every_layout(), times()


def found(limits: Limits) -> list[Option]:
    return model_choice.options(LAYOUTS, limits, TIMES, HERE)


def test_what_a_layout_asks_of_the_weights_is_the_most_of_its_layers() -> None:
    def swap(text: str) -> str:
        return swap_of(MODEL, arranged(MODEL, [text], "1/2")[0], Catalog())

    assert swap_of(MODEL, MODEL, Catalog()) == "as it is"
    assert swap("full=sliding-window:window=512") == "lossy"
    assert swap("full=gated-deltanet") == "trained"
    assert swap("full=sliding-window:window=512,rotary=0") == "trained"  # without its positions
    assert swap("full=softmax") == "exact"


def test_the_model_as_it_is_comes_first_where_it_fits() -> None:
    best = model_choice.best(found(Limits(memory=16 * GIB)))
    assert best is not None
    assert best.layout.swap == "as it is"
    assert best.rate is not None
    assert round(1 / best.rate, 4) == round(16 * 0.010 + 2 * 0.001, 4)


def test_what_keeps_the_weights_comes_before_what_does_not() -> None:
    best = model_choice.best(found(Limits(tokens_per_second=9)))
    assert best is not None
    assert best.layout.swap == "lossy"
    best = model_choice.best(found(Limits(tokens_per_second=12)))
    assert best is not None
    assert (best.layout.swap, best.layout.kept) == ("trained", 0.0)
    assert model_choice.best(found(Limits(tokens_per_second=100))) is None


def test_steps_may_have_been_measured_cold() -> None:
    cold = replace(HERE, phase="decode", cache="cold")
    for setting in (HERE, cold):
        options = model_choice.options(LAYOUTS, Limits(), times("cold"), setting)
        assert all(option.prefill and option.rate for option in options)
    elsewhere = replace(HERE, device="cuda:0", cache="cold")
    (first, *_) = model_choice.options(LAYOUTS, Limits(), times("cold"), elsewhere)
    assert first.rate is None


def test_smaller_forms_are_proposed_and_have_no_time() -> None:
    question = Question(model=MODEL, deployment=RUN, limits=Limits(), setting={})
    found = [layout for layout in layouts(question) if layout.quantised]
    assert [layout.name.removeprefix("llama-3.2-1b, ") for layout in found] == [
        "fp8 cache", "int8 cache", "int8 weights", "int8 weights, fp8 cache",
        "int8 weights, int8 cache", "int4 weights", "int4 weights, fp8 cache",
        "int4 weights, int8 cache",
    ]  # fmt: skip
    assert {layout.swap for layout in found} == {"lossy"}
    options = model_choice.options(found, Limits(prefill=100.0), TIMES, HERE)
    assert {(option.prefill, option.rate, option.probability) for option in options} == {
        (None, None, None)
    }
    # Eight bits of a cache cost less than eight of the weights; int8 takes more than fp8.
    assert [option.layout.bits for option in options[:3]] == [(16, 8), (16, 8), (8, 16)]
    assert "llama-3.2-1b, int8 cache" not in {o.layout.name for o in model_choice.front(options)}


def test_a_form_that_is_given_is_kept() -> None:
    run = Deployment(context=8192, weights="int8")
    question = Question(model=MODEL, deployment=run, limits=Limits(), setting={})
    forms = {(one.deployment.weights, one.deployment.cache) for one in layouts(question)}
    assert forms == {("int8", None), ("int8", "fp8"), ("int8", "int8")}
    state = presets.model("mamba2-2.7b")  # has no keys and values
    question = Question(model=state, deployment=RUN, limits=Limits(), setting={})
    assert {one.deployment.cache for one in layouts(question)} == {None}


def a_finding(task: Task, low: float, high: float) -> Finding:
    value = (low + high) / 2
    return Finding(task=task, value=value, low=low, high=high, seq=8192, source="here")


@pytest.mark.parametrize(
    ("findings", "chance"),
    [
        ({"fidelity": {}}, 1.0),  # it puts nothing in
        ({"fidelity": {"a": a_finding("fidelity", 0.02, 0.04)}}, 1.0),
        ({"fidelity": {"a": a_finding("fidelity", 0.02, 0.06)}}, 0.0),
        ({"fidelity": {"a": a_finding("fidelity", 0.02, 0.04), "b": None}}, 0.0),
    ],
)
def test_all_that_is_put_in_has_to_be_known_to_be_near_enough(
    findings: dict[Task, dict[str, Finding | None]], chance: float
) -> None:
    layout = dataclasses.replace(LAYOUTS[0], findings=findings)
    (option,) = model_choice.options([layout], Limits(evidence={"fidelity": 0.05}), TIMES, HERE)
    assert option.probabilities == {"fidelity": chance}
    assert option.fits == (chance == 1)


def test_what_is_not_proven_hides_no_layout_that_is() -> None:
    smaller, larger = LAYOUTS[2], LAYOUTS[1]
    unproven = dataclasses.replace(smaller, findings={"recall": {"a": None}})
    proven = dataclasses.replace(
        larger, kept=smaller.kept, findings={"recall": {"a": a_finding("recall", 16, 16)}}
    )
    options = model_choice.options(
        [unproven, proven], Limits(evidence={"recall": 16}), Times((), ()), None
    )
    assert len(model_choice.front(options)) == 2
    assert model_choice.best(options) is not None


def test_a_time_that_is_not_known_is_no_fit_and_no_miss() -> None:
    unknown = model_choice.options(LAYOUTS, Limits(prefill=5.0), TIMES, None)
    assert {option.probability for option in unknown} == {None}
    both = Limits(prefill=5.0, memory=1)
    assert {o.probability for o in model_choice.options(LAYOUTS, both, TIMES, None)} == {0.0}


@given(
    memory_limit=st.integers(GIB, 8 * GIB),
    prefill=st.floats(0.5, 10),
    rate=st.floats(1, 40),
    looser=st.floats(1, 4),
)
def test_looser_limits_remove_no_choice(
    memory_limit: int, prefill: float, rate: float, looser: float
) -> None:
    tight = Limits(memory=memory_limit, prefill=prefill, tokens_per_second=rate)
    loose = Limits(
        memory=int(memory_limit * looser), prefill=prefill * looser, tokens_per_second=rate / looser
    )
    fitting = {option.layout.name for option in found(tight) if option.fits}
    assert fitting <= {option.layout.name for option in found(loose) if option.fits}


@given(memory_limit=st.integers(GIB, 8 * GIB), prefill=st.floats(0.5, 10), rate=st.floats(1, 40))
def test_the_best_is_that_of_brute_force(memory_limit: int, prefill: float, rate: float) -> None:
    limits = Limits(memory=memory_limit, prefill=prefill, tokens_per_second=rate)
    best = model_choice.best(found(limits))
    fitting = []
    for layout in LAYOUTS:
        variants = [layer.mixer.variant for layer in layout.model.layers if layer.mixer]
        reads = sum(SECONDS[name][0] for name in variants) + 0.002
        steps = sum(SECONDS[name][1] for name in variants) + 0.002
        needs = memory(layout.model, RUN).total
        if needs <= memory_limit and reads * 1.2 < prefill and steps * 1.2 < 1 / rate:
            fitting.append(layout.name)
    names = [layout.name for layout in LAYOUTS]
    assert best is not None or not fitting
    if best is not None and best.probability is not None and fitting:
        order = [option.layout.name for option in found(limits)]
        assert order.index(best.layout.name) <= min(map(order.index, fitting))
        assert best.layout.name in names


def test_the_front_holds_what_is_preferred_or_takes_less() -> None:
    options = found(Limits(memory=16 * GIB))
    front = model_choice.front(options)
    assert options[0] in front
    for option in options:
        if option not in front:
            assert any(
                other.order <= option.order and other.memory.total <= option.memory.total
                for other in front
            )
