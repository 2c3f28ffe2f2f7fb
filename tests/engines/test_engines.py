"""Engines: their names, what is missing for one, and that none is timed that gives other values."""

from collections.abc import Callable
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, engine_names, engines
from effattn_cli.engines import Prepared, Program, onnxruntime, openvino
from effattn_cli.errors import Unsupported, UsageError
from effattn_cli.machine import differences
from effattn_cli.measure import engine_equality
from effattn_cli.measure.engine_equality import NotEqual
from effattn_cli.measure.workload import build
from tests.builders import a_cell, a_machine


def test_every_file_is_an_engine_and_keeps_the_protocol() -> None:
    assert list(engine_names.read("eager, COMPILE,onnxruntime,eager", "--engine")) == [
        "eager", "compile", "onnxruntime",
    ]  # fmt: skip
    for name in engine_names.modules():
        engine = engines.load(name)
        assert engine.PREPARING >= 0
        assert engine.ROOM >= 0
        assert (name == "eager") == engine.RUNS_EAGERLY
        assert list(engine.warnings() if name != "compile" else ()) == []
        assert not engine.STATIC or engine.missing("cuda:0")


@pytest.mark.parametrize(
    ("text", "hint"),
    [("onnx-runtime", "onnxruntime"), ("ort", "onnxruntime"), ("torch-compile", "compile")],
)
def test_an_unknown_engine_leads_to_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"unknown engine '{text}'") as raised:
        engine_names.read(text, "--engine")
    assert raised.value.hint == f"did you mean {hint!r}?"


def test_installed_packages_bring_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SimpleNamespace(name="theirs", value="effattn_cli.engines.eager")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    engine_names.modules.cache_clear()
    try:
        assert engine_names.read("theirs", "--engine") == ("theirs",)
        assert engines.load("theirs").RUNS_EAGERLY
    finally:
        engine_names.modules.cache_clear()


@pytest.mark.parametrize(
    ("engine", "extra"), [(onnxruntime, "onnxruntime"), (openvino, "openvino")]
)
def test_a_missing_package_is_an_unsupported_cell(
    monkeypatch: pytest.MonkeyPatch, engine: Any, extra: str
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(Unsupported, match=rf"pip install 'effattn\[{extra}\]'"):
        build(catalog.load("sdpa"), a_cell(seq=16, dim=32, heads=2, engine=extra))


@pytest.fixture
def spoiling(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any]], None]:
    """Puts an engine in the place of `compile` that does something to what comes out."""

    def put(spoil: Callable[[Any], Any]) -> None:
        def prepare(program: Program) -> Prepared:
            return Prepared(run=lambda *given: spoil(program.run(*given)))

        fake = SimpleNamespace(prepare=prepare, STATIC=False, missing=lambda _: None)
        load = engines.load
        monkeypatch.setattr(engines, "load", lambda name: fake if name == "compile" else load(name))

    return put


def _held(**axes: Any) -> None:
    cell = a_cell(seq=16, dim=32, heads=2, engine="compile", **axes)
    variant = catalog.load("sdpa")
    engine_equality.check(build(variant, cell), build(variant, cell, eager=True), cell)


def _nudged(made: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
    """The output as it is, and a state whose values are a little off."""
    out, state = made
    state.v_BGRK.mul_(1.01)
    return out, state


def test_equal_outputs_pass(spoiling: Callable[..., None]) -> None:
    spoiling(lambda out: out * (1 + 1e-6))
    _held()


@pytest.mark.parametrize(
    ("spoil", "axes", "message"),
    [
        (lambda out: out * 1.02, {}, "its output is off by 2 %"),
        (lambda out: out * 1.02, {"phase": "train"}, "its output is off by 2 %"),
        (lambda out: torch.full_like(out, torch.nan), {}, "its output holds NaN or infinity"),
        (_nudged, {"phase": "decode", "causal": True}, "its state is off by 1 %"),
    ],
)
def test_other_outputs_do_not(
    spoiling: Callable[..., None], spoil: Any, axes: dict[str, Any], message: str
) -> None:
    spoiling(spoil)
    with pytest.raises(NotEqual, match=message):
        _held(**axes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Exception from core.cpp:84:\nModel wasn't converted.\n-- Mul-23 with a message:\n"
            "Argument shapes differ.\n\nSummary:\n-- Conversion is failed for: Mul-23\n\n",
            "Mul-23: Argument shapes differ.",
        ),
        (
            "Exception from core.cpp:117:\nWhile validating node 'opset1::MatMul node_1 (f32[1])'"
            " with friendly_name 'node_1':\nIncompatible MatMul matrix dimension.\n\n",
            "node_1: Incompatible MatMul matrix dimension.",
        ),
        ("Exception from core.cpp:3", "Exception from core.cpp:3"),
    ],
)
def test_what_openvino_refuses_is_said_in_a_line(text: str, reason: str) -> None:
    assert openvino._reason(text) == reason


def test_engines_set_machines_apart_only_where_both_were_used() -> None:
    bare = a_machine()
    one, other = (a_machine(engines={"onnxruntime": version}) for version in ("1.32", "1.33"))
    assert differences(bare, one) == []
    assert [change.what for change in differences(one, other)] == ["engines"]
