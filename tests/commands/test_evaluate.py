"""`effattn evaluate`, as a person types it."""

import json
import re
from pathlib import Path

import pytest
import torch

from effattn_cli import store
from effattn_cli.evaluation import Evaluation
from effattn_cli.run import jobs
from effattn_cli.run.worker import HANDLERS
from tests.evaluate.test_tensor_file import qkv, written
from tests.running import effattn

SMALL = ("--heads", "2", "--head-dim", "16", "--threads", "1", "-s", "128", "--draws", "1")
WINDOWS = "sliding-window:window=16,64,256"


def kept(path: Path) -> Evaluation:
    return store.read_evaluation(path)


def errors(path: Path, regime: str) -> dict[str, float]:
    """The mean error of each choice."""
    return {
        record.cell.label: sum(one.errors) / len(one.errors)
        for record in kept(path).records
        for one in record.fidelity
        if one.regime == regime
    }


def test_error_against_knob_against_cost(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    words = ("-v", f"{WINDOWS},sdpa", "--regime", "local,clustered", "--causal", "-o", str(path))
    found = effattn("evaluate", *words, *SMALL, COLUMNS="120")
    assert found.returncode == 0, found.stderr
    assert f"saved: {path}" in found.stderr
    assert "sliding-window:window=16 seq 128, local (" in found.stderr
    by_choice = errors(path, "local")
    assert by_choice["sliding-window:window=16"] > by_choice["sliding-window:window=64"] > 1e-3
    assert by_choice["sliding-window"] < 1e-6
    assert by_choice["sdpa"] < 1e-6
    assert "128 tokens, causal, 2 heads of 16, float32" in found.stdout
    lines = {
        match[1]: match[0]
        for match in re.finditer(r"^(sliding-window:window=\d+|sdpa) .*$", found.stdout, re.M)
    }
    assert set(lines) == {"sdpa", *(f"sliding-window:window={n}" for n in (16, 64, 256))}
    last = " ".join(found.stdout.split("\n\n")[-1].split())
    assert (
        "With an error below 5 %, a trained model can live with sliding-window with window=" in last
    )
    assert "can live with sdpa in every regime." in last
    records = {record.cell.label: record for record in kept(path).records}
    small, whole = records["sliding-window:window=16"], records["sdpa"]
    assert small.cost is not None
    assert whole.cost is not None
    assert small.cost.flops < whole.cost.flops
    assert small.state_bytes == 2 * 2 * 16 * 16 * 4
    assert kept(path).finished


def test_what_is_there_is_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    words = ("-v", "sliding-window:window=16", "--regime", "local")
    assert effattn("evaluate", *words, *SMALL, "-o", str(path)).returncode == 0
    first = kept(path)
    again = effattn("evaluate", *words, *SMALL, "-o", str(path))
    assert (again.returncode, again.stdout) == (2, "")
    assert "--resume goes on with it" in again.stderr
    more = ("-v", WINDOWS, "--regime", "local,clustered")
    resumed = effattn("evaluate", *more, *SMALL, "--resume", str(path))
    assert resumed.returncode == 0, resumed.stderr
    assert "sliding-window:window=16 seq 128, local" not in resumed.stderr
    assert "sliding-window:window=16 seq 128, clustered (1/" in resumed.stderr
    whole = kept(path)
    assert whole.records[0].fidelity[0] == first.records[0].fidelity[0]
    assert len(whole.records) == 3
    idle = effattn("evaluate", "--resume", str(path), "--json")
    assert json.loads(idle.stdout)["effattn_evaluation"] == 1
    assert idle.stderr == f"saved: {path}\n"


def test_what_other_code_found_out_is_found_out_anew(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    words = ("-v", "sliding-window:window=16", "--regime", "local", *SMALL)
    assert effattn("evaluate", *words, "-o", str(path)).returncode == 0
    code = kept(path).variants["sliding-window"].code
    path.write_text(path.read_text().replace(code, "0123456789ab"))
    resumed = effattn("evaluate", "--resume", str(path))
    assert "note: evaluated again, as its code has changed: sliding-window" in resumed.stderr
    assert "sliding-window:window=16 seq 128, local (2/2)" in resumed.stderr
    assert kept(path).variants["sliding-window"].code == code


def test_the_users_own_tensors(tmp_path: Path) -> None:
    file = written(
        tmp_path / "own.safetensors", qkv(2, 4, 96, 16, k=(2, 2, 96, 16), v=(2, 2, 96, 16))
    )
    path = tmp_path / "e.yaml"
    words = ("--qkv", str(file), "-v", "sliding-window:window=8,gqa", "-o", str(path))
    found = effattn("evaluate", *words, "--threads", "1")
    assert found.returncode == 0, found.stderr
    window, whole = kept(path).records
    assert (window.cell.seq, window.cell.setting.heads, window.cell.setting.kv_heads) == (96, 4, 2)
    assert (window.fidelity[0].regime, len(window.fidelity[0].errors)) == ("own", 8)
    q, k, v = qkv(2, 4, 96, 16, k=(2, 2, 96, 16), v=(2, 2, 96, 16)).values()
    k, v = k.double().repeat_interleave(2, 1), v.double().repeat_interleave(2, 1)
    scores = torch.einsum("bhtk,bhsk->bhts", q.double(), k) / 4
    near = (torch.arange(96)[:, None] - torch.arange(96)).abs() <= 4
    want = scores.softmax(-1) @ v
    got = scores.masked_fill(~near, -torch.inf).softmax(-1) @ v
    error = (got - want).flatten(2).norm(dim=2) / want.flatten(2).norm(dim=2)
    assert window.fidelity[0].errors == pytest.approx(error.flatten().tolist(), abs=1e-6)
    assert max(whole.fidelity[0].errors) < 1e-6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-v", "sliding-windo"), "unknown variant 'sliding-windo'"),
        (("-v", "sdpa", "--regime", "locale"), "unknown regime 'locale'"),
        (("-v", "sdpa", "--task", "fidelty"), "unknown task 'fidelty'"),
        (("-v", "linformer"), "linformer must be trained into a model"),
        (("-v", "nystromformer"), "nystromformer (but not with kernel=0) must be trained"),
        (("-v", "sdpa", "--draws", "0"), "--draws: 0 is out of range, from 1 to 1000"),
        (("-v", "sdpa", "--heads", "8", "--kv-heads", "3"), "8 heads are not a multiple of 3"),
        (("-v", "sdpa", "--qkv", "nowhere"), "cannot read 'nowhere': No such file"),
        (("--resume", "nothing"), "no evaluation 'nothing'"),
        (("-v", "sdpa", "--near", "2"), "--near"),
    ],
)
def test_a_slip_is_one_line(words: tuple[str, ...], message: str) -> None:
    found = effattn("evaluate", *words)
    assert (found.returncode, found.stdout) == (2, "")
    assert message in found.stderr
    assert "internal" not in found.stderr


def test_own_sizes_are_not_given_twice(tmp_path: Path) -> None:
    file = str(written(tmp_path / "own.safetensors", qkv(2, 8, 4)))
    found = effattn("evaluate", "-v", "sdpa", "--qkv", file, "--heads", "4")
    assert "--qkv has its own sizes, --heads cannot be given" in found.stderr


def test_a_variant_that_fails_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    plugin = tmp_path / "halves.py"
    plugin.write_text('''
from effattn_cli.attention import Card, variant

@variant(card=Card(title="Halves", families=("own",), paper="", year=2026, time="N", memory="N",
                   causal="never", kind="own mechanism", swap="lossy"))
def halves(q, k, v):
    """Not what it says."""
    raise RuntimeError("half of it is missing")
''')
    words = ("-v", "halves,sdpa", "--plugin", str(plugin), "--regime", "local", "-o", str(path))
    found = effattn("evaluate", *words, *SMALL, COLUMNS="120")
    assert found.returncode == 3, found.stderr
    assert "halves: raised an error: RuntimeError: half of it is missing" in found.stdout
    broken, whole = kept(path).records
    assert broken.fidelity[0].failure is not None
    assert whole.fidelity[0].errors


def test_every_request_has_a_handler() -> None:
    assert set(HANDLERS) == set(jobs.Request.__args__)
