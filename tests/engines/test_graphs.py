"""Programs as graphs, run by ONNX Runtime and by OpenVINO where that is installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from effattn_cli import catalog, engines
from effattn_cli.engine_names import SCRATCH
from effattn_cli.engines.graphs import onnx
from effattn_cli.engines.graphs.flat import Flat
from effattn_cli.engines.graphs.onnx import exported
from effattn_cli.errors import Unsupported
from effattn_cli.measure import engine_equality
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import Cell, Sampling
from effattn_cli.run import outcome
from effattn_cli.run.jobs import Job, MeasureLatency, MeasureMemory, Task, Timed, Watched
from tests.builders import a_cell
from tests.running import server

pytestmark = pytest.mark.in_ci
pytest.importorskip("onnxruntime")
SMALL: dict[str, Any] = {"dim": 32, "heads": 2, "scope": "layer"}
NEWER = {"LinearAttention", "CausalConvWithState"}
with_openvino = pytest.param(
    "openvino", marks=pytest.mark.skipif(not find_spec("openvino"), reason="no openvino here")
)


def held(cell: Cell) -> Subject:
    """The subject of a cell, whose outputs are those of eager torch."""
    variant = catalog.load(cell.variant)
    subject = build(variant, cell)
    engine_equality.check(subject, build(variant, cell, eager=True), cell)
    return subject


def operators(subject: Subject, *, newer: bool) -> list[str]:
    assert subject.program is not None
    made = exported(Flat(subject.program), operators=newer)
    return [node.op_type for node in made.model.graph]


@pytest.mark.parametrize("engine", ["onnxruntime", "onnxruntime-decomposed", with_openvino])
@pytest.mark.parametrize(
    ("label", "axes"),
    [
        ("sdpa", {"causal": True, "padding": 0.25, "batch": 2}),
        ("linformer", {"scope": "core"}),
        ("sdpa", {"padding": 0.25}),  # a mask that is the same for all queries
        ("mamba2", {"causal": True}),
        ("sdpa", {"phase": "decode", "kv_heads": 1}),
        ("gated-deltanet", {"phase": "decode", "causal": True}),
    ],
)
def test_an_engine_gives_what_eager_torch_gives(
    engine: str, label: str, axes: dict[str, Any]
) -> None:
    subject = held(a_cell(label, seq=96, engine=engine, **(SMALL | axes)))
    assert subject.preparation is not None
    assert subject.preparation.export_seconds
    assert subject.preparation.load_seconds


@pytest.mark.parametrize("label", ["gated-deltanet", "kda", "mamba2", "gla", "retnet"])
def test_decays_and_delta_rules_are_one_operator(label: str) -> None:
    """With one decay a head, one a channel, or one for all tokens; with step sizes or without."""
    for phase in ("forward", "decode"):
        cell = a_cell(label, seq=96, engine="onnxruntime", causal=True, phase=phase, **SMALL)
        assert operators(held(cell), newer=True).count("LinearAttention") == 1


def test_convolutions_are_one_operator_and_other_graphs_have_none_of_these() -> None:
    for phase in ("forward", "decode"):
        axes = {"engine": "onnxruntime-decomposed", "causal": True, "phase": phase, **SMALL}
        subject = held(a_cell("mamba2", seq=96, **axes))
        assert set(operators(subject, newer=True)) >= NEWER
        assert not NEWER & set(operators(subject, newer=False))


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_attention_is_one_operator(causal: bool) -> None:
    subject = held(a_cell(seq=64, engine="onnxruntime", causal=causal, **SMALL))
    assert operators(subject, newer=True).count("Attention") == 1


def test_a_cache_is_written_in_place_and_a_step_can_be_repeated() -> None:
    subject = held(a_cell(seq=64, engine="onnxruntime", phase="decode", **SMALL))
    assert subject.program is not None
    flat = Flat(subject.program)
    assert flat.names == ["x", "state.k_BGRK", "state.v_BGRK"]
    assert [(one.name, one.written) for one in flat.outputs] == [
        ("y", None), ("new_state.k_BGRK", 1), ("new_state.v_BGRK", 2),
    ]  # fmt: skip
    first = subject.call().clone()
    assert subject.call().equal(first)


def test_each_step_of_a_short_period_is_a_graph_and_a_long_one_is_refused() -> None:
    decoding = {"engine": "onnxruntime", "phase": "decode", "causal": True, **SMALL}
    assert held(a_cell("chunked:chunk=4", seq=30, **decoding)).steps == 4
    long = a_cell("chunked:chunk=64", seq=128, **decoding)
    with pytest.raises(Unsupported, match="onnxruntime fixes the length, and 64 steps in turn"):
        build(catalog.load("chunked"), long)


def test_a_graph_has_no_gradient() -> None:
    with pytest.raises(Unsupported, match="it does not train"):
        build(catalog.load("sdpa"), a_cell(seq=16, engine="onnxruntime", phase="train", **SMALL))


def test_an_operator_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "inverting.py"
    path.write_text(
        "import torch\n"
        "from effattn_cli.attention import Attention, Card\n\n"
        "class Inverting(Attention):\n"
        "    '''Solves something.'''\n"
        "    card = Card(title='Inverting', families=('test',), paper='', year=2026, time='N',\n"
        "                memory='N', causal='optional', kind='own mechanism')\n\n"
        "    def attend(self, q, k, v, valid=None):\n"
        "        return v + torch.linalg.inv(q.mT @ q + 1)[..., :1, :1]\n"
    )
    variant = catalog.load("inverting", str(path))
    with pytest.raises(Unsupported, match=r"no operator for aten.linalg_inv_ex"):
        build(variant, a_cell("inverting", seq=64, engine="onnxruntime", **SMALL))


def test_processes_of_a_sweep_export_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCRATCH, str(tmp_path))
    cell = a_cell(seq=32, engine="onnxruntime", **SMALL)
    first, second = held(cell).preparation, held(cell).preparation
    assert first is not None
    assert second is not None
    assert (first.export_seconds is None, second.export_seconds is None) == (False, True)
    assert held(a_cell(seq=48, engine="onnxruntime", **SMALL)).preparation != second
    assert len([*tmp_path.iterdir()]) == 2


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCRATCH, str(tmp_path))
    monkeypatch.setattr(onnx, "KEPT", 40_000)  # the weights of a layer are 16 KiB
    for seq in (16, 32, 48, 64):
        held(a_cell(seq=seq, engine="onnxruntime", **SMALL))
        graphs = [folder / "graph.onnx" for folder in tmp_path.iterdir()]
        assert all(graph.exists() for graph in graphs)
        assert len(graphs) <= 2
    again = held(a_cell(seq=64, engine="onnxruntime", **SMALL)).preparation
    assert again is not None
    assert again.export_seconds is None


@pytest.mark.parametrize("engine", ["onnxruntime", with_openvino])
def test_memory_is_what_the_process_comes_to_hold(engine: str) -> None:
    """The features of two heads' keys: 32 MiB, and several times that where they are copied."""
    cell = a_cell("performer:features=2048", seq=2048, engine=engine, dim=64, heads=2)
    watched = _answer(MeasureMemory(task=Task(cell=cell), sampling=Sampling()), Watched)
    assert watched.memory.method.startswith("resident size, no arena, ")
    assert 32 * 2**20 <= watched.memory.peak_bytes < 200 * 2**20
    assert watched.preparation is not None
    timed = _answer(MeasureLatency(task=Task(cell=cell), sampling=Sampling(seconds=0.05)), Timed)
    assert timed.run.samples


def _answer(request: MeasureMemory | MeasureLatency, kind: type[Any]) -> Any:
    reply = server().run(Job(request=request, timeout=300.0))
    answer = outcome.answer(reply, kind, 300.0)
    assert isinstance(answer, kind), answer
    return answer


def test_the_fingerprint_says_how_an_engine_is_set_up() -> None:
    assert "opset 23 or 27" in engines.load("onnxruntime").fingerprint()
    assert "opset 23," in engines.load("onnxruntime-decomposed").fingerprint()
    assert engines.load("eager").fingerprint() == ""
