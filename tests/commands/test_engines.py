"""The commands on sweeps of several engines, and the graph of a variant as a file."""

import json
from pathlib import Path

import pytest

from effattn_cli import store
from tests.builders import a_cell, a_profile, failed, measured
from tests.running import effattn

SMALL = "--dim", "32", "--heads", "2", "-s", "64"


@pytest.fixture
def sweep(tmp_path: Path) -> str:
    """ONNX Runtime is twice as fast for linformer, and half as fast for exact attention."""
    seconds = {
        ("sdpa", "eager"): 2.0, ("linformer", "eager"): 1.0,
        ("sdpa", "onnxruntime"): 4.0, ("linformer", "onnxruntime"): 0.5,
    }  # fmt: skip
    records = [
        measured(a_cell(label, engine=engine), [value, 1.001 * value, 0.999 * value])
        for (label, engine), value in seconds.items()
    ]
    refused = failed(a_cell("reformer", engine="onnxruntime"), "not-equal", "its output is off")
    path = tmp_path / "sweep.yaml"
    store.Writer(path).write(a_profile(*records, refused))
    return str(path)


def test_one_engine_is_compared_with_another(sweep: str) -> None:
    found = effattn("compare", sweep, "--engines", "eager", "onnxruntime", "--all")
    assert found.returncode == 0
    assert "onnxruntime in " in found.stdout
    assert "2.0x" in found.stdout


def test_an_engine_that_was_not_measured_leads_to_one_that_was(sweep: str) -> None:
    found = effattn("compare", sweep, "--engines", "eager", "onnxrutime")
    assert (found.returncode, found.stderr) == (
        2,
        "error: unknown engine of the profile 'onnxrutime'\nhint: did you mean 'onnxruntime'?\n",
    )


def test_a_choice_is_of_one_engine(sweep: str) -> None:
    for engine, label in (("eager", "1.00 s"), ("onnxruntime", "500 ms")):
        found = effattn("choose", sweep, "-s", "1k", "--prefer", "speed", "--engine", engine)
        assert label in found.stdout, found.stdout


def test_what_is_not_equal_says_so(sweep: str) -> None:
    assert "gave other values than eager torch" in effattn("show", sweep).stdout


@pytest.mark.in_ci
def test_a_graph_is_written_checked_and_can_be_run(tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = tmp_path / "layer.onnx"
    found = effattn("export-model", "gated-deltanet", *SMALL, "-o", str(path), "--json")
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    assert [(port["name"], port["shape"]) for port in document["inputs"]] == [("x", [1, 64, 32])]
    assert [(port["name"], port["shape"]) for port in document["outputs"]] == [("y", [1, 64, 32])]
    assert document["bytes"] == path.stat().st_size
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path))
    (port,) = session.get_inputs()
    assert (port.name, port.shape) == ("x", [1, 64, 32])
    assert [one.name for one in tmp_path.iterdir()] == ["layer.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sdpa", "--engine", "eager"), "eager runs no graph that could be a file"),
        (("sdpa", "--phase", "train"), "it does not train"),
        (("sdpa", "-s", "64,128"), "that stands for 2 graphs"),
        (("chunked:chunk=32", "--phase", "decode"), "each of 32 steps in turn is another graph"),
    ],
)
def test_what_is_no_graph_is_refused_and_nothing_is_written(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "layer.onnx"
    found = effattn("export-model", *SMALL, *words, "-o", str(path))
    assert found.returncode == 2
    assert message in found.stderr
    assert [*tmp_path.iterdir()] == []


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "layer.onnx"
    path.write_text("mine")
    found = effattn("export-model", "sdpa", *SMALL, "-o", str(path))
    assert found.returncode == 2
    assert path.read_text() == "mine"
