"""The real command, as a person types it."""

import json
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli import store
from tests.rounds import kept
from tests.running import MODULE, alone, effattn

#: The budget is far from what is needed: beside other load 60 s were not enough.
FAST = "--dim 64 --heads 2 --threads 1 --precision 0.5 --rounds 2 --time-budget 10m".split()
TINY = ["profile", "-v", "linformer:rank=16", "-s", "64,128", "--quiet", *FAST]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["profil"], "No such command 'profil'", "did you mean 'profile'?"),
        (["profile", "--variants", "x"], "No such option: --variants", "did you mean '--variant'?"),
        (["profile", "--sek", "1k"], "No such option: --sek", "did you mean '--seq'?"),
        (["profile", "--rounds", "x"], "--rounds: 'x' is not a valid int", ""),
        (["profile", "-v", "linformr"], "unknown variant 'linformr'", "did you mean 'linformer'?"),
        (["profile", "-v", "linformer:rnk=3"], "unknown option of linformer 'rnk'",
         "did you mean 'rank'?"),
        (["profile", "-v", "sdpa", "-s", "64k..1k"], "--seq", "did you mean '1k..64k'?"),
        (["profile", "-v", "sdpa", "--phase", "trian"], "'trian'", "did you mean 'train'?"),
        (["profile", "-v", "sdpa", "--dtype", "bf61"], "'bf61'", "did you mean"),
        (["profile", "-v", "sdpa", "--like", "llama-3-8"], "'llama-3-8'", "'llama-3-8b'"),
        (["profile", "-v", "sdpa", "--device", "cuda:7"], "no device 'cuda:7' found", "--device"),
        (["profile", "-v", "sdpa", "--device", "gpu"], "unknown device 'gpu'", "cuda"),
        (["profile", "-v", "sdpa", "--device", "cpu", "--cache", "cold"], "--cache cold", "cuda"),
        (["profile", "-v", "sdpa", "--time-limit", "5 parsecs"], "--time-limit", ""),
        (["profile", "-v", "sdpa", "--plugin", "nowhere.py"], "file or folder 'nowhere.py'", ""),
        (["profile", "-v", "sdpa", "--out", "no/such/folder/p.yaml"], "cannot write", ""),
        (["profile", "-v", "sdpa", "--config", "none.yaml"], "'none.yaml'", ""),
        (["profile", "--resume", "none.yaml"], "cannot read 'none.yaml'", ""),
        (["profile", "--resume", "ref:epyc-zen5-2-threads"], "is shipped with", "makes a copy"),
        (["variants", "linformr"], "unknown variant 'linformr'", "did you mean 'linformer'?"),
        (["show", "none.yaml"], "cannot read 'none.yaml'", ""),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_a_hint(words: list[str], error: str, hint: str) -> None:
    found = effattn(*words)
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert len(lines) <= 2
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert not hint or (lines[1].startswith("hint: ") and hint in lines[1])


def test_a_sweep_is_measured_saved_shown_and_told(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    found = alone(*TINY, "--out", str(path), XDG_DATA_HOME=str(tmp_path / "data"))
    assert found.returncode == 0, found.stderr
    assert found.stderr == f"saved: {path}\n"
    profile = store.read(path)
    assert profile.finished
    labels = [(record.cell.label, record.cell.seq, record.status) for record in profile.records]
    assert sorted(labels) == [
        (label, seq, "measured") for label in ("linformer:rank=16", "sdpa") for seq in (64, 128)
    ]
    assert "linformer:rank=16" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert effattn("show", str(path)).stdout == found.stdout
    again = effattn(*TINY, "--out", str(path))
    assert (again.returncode, "already exists" in again.stderr) == (2, True)


def test_json_is_the_only_thing_on_stdout(tmp_path: Path) -> None:
    found = effattn(*TINY, "--baseline", "none", "--json", "--out", str(tmp_path / "p.yaml"))
    document = json.loads(found.stdout)
    assert [record["cell"]["seq"] for record in document["records"]] == [64, 128]


def test_without_out_the_profile_goes_to_the_data_folder(tmp_path: Path) -> None:
    found = effattn(*TINY, "-s", "64", XDG_DATA_HOME=str(tmp_path))
    (path,) = tmp_path.glob("effattn/profiles/*.yaml")
    assert found.stderr == f"saved: {path}\n"


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    words = ["profile", "-v", "softmax", "-s", "1k,256k", "--dry-run", "-o", str(path)]
    found = effattn(*words, "--memory-limit", "8GiB")
    assert found.returncode == 0
    assert "would need 4.0 TiB" in found.stdout or "would need 4" in found.stdout
    assert not path.exists()


def test_a_config_file_stands_for_the_options_and_a_flag_overrides_it(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("variant: linformer:rank=16\nseq: [64, 128]\ndim: 64\nheads: 2\nrounds: 1\n")
    words = ["profile", "--config", str(config), "-s", "32", "--json", "-q"]
    document = json.loads(effattn(*words, "-o", str(tmp_path / "p")).stdout)
    assert {record["cell"]["seq"] for record in document["records"]} == {32}
    assert {record["cell"]["setting"]["dim"] for record in document["records"]} == {64}


@pytest.mark.in_ci
@pytest.mark.parametrize(
    "words",
    [
        ["--phase", "train,decode", "--alloc", "default"],
        ["--scope", "layer", "--causal", "-v", "local", "--dtype", "bf16,fp32"],
        ["--threads", "1,2", "-b", "1,3", "--padding", "0,0.25"],
        ["--tokens", "256", "--like", "bert-base"],
    ],
)
def test_every_axis_of_the_sweep_runs(tmp_path: Path, words: list[str]) -> None:
    shape = ["-s", "64", "--rounds", "1"]
    found = effattn(*TINY, *shape, *words, "--json", "-o", str(tmp_path / "p.yaml"))
    assert found.returncode == 0, found.stderr
    records = json.loads(found.stdout)["records"]
    reasons = {r["failure"]["reason"] for r in records if r["failure"] is not None}
    assert reasons <= {"unsupported"}
    assert any(record["runs"] for record in records)


def test_ctrl_c_saves_and_the_run_can_go_on(tmp_path: Path) -> None:
    path, plugin, gate = (tmp_path / name for name in ("p.yaml", "mine.py", "closed"))
    plugin.write_text(f"""
import time
from pathlib import Path
from effattn_cli.attention import Card, variant

@variant(card=Card(title="Mine", families=("own",), paper="", year=2026, time="N", memory="N",
                   causal="never", kind="own mechanism"))
def mine(q, k, v):
    while Path({str(gate)!r}).exists():
        time.sleep(0.01)
    return q + k + v
""")
    words = [*TINY, "-s", "64,128,256", "--rounds", "9", "--threads", "1", "--out", str(path)]
    words += ["--plugin", str(plugin), "-v", "mine"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    run = subprocess.Popen([*MODULE, *words], **pipes)
    while not path.exists() or '"runs": [{' not in path.read_text():
        time.sleep(0.05)
        assert run.poll() is None
    gate.touch()  # from here on the sweep cannot come to its end
    run.send_signal(signal.SIGINT)
    shown, told = run.communicate(timeout=60)
    gate.unlink()
    assert run.returncode == 130
    assert "Unfinished: " in shown
    assert "fewer than 9 rounds" in " ".join(shown.split())
    assert f"effattn profile --resume {path} --plugin {plugin} goes on" in told
    before = store.read(path)
    assert not before.finished
    found = effattn("profile", "--resume", str(path), "--plugin", str(plugin), "--quiet")
    assert found.returncode == 0, found.stderr
    after = store.read(path)
    assert after.finished
    for old, new in zip(before.records, after.records, strict=True):
        assert kept(old.runs, new.runs)
        assert len(new.runs) == 9


def test_a_failed_cell_that_nobody_expects_is_exit_code_3(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from effattn_cli.attention import Attention, Card\n"
        "class Mine(Attention):\n"
        "    '''Falls over.'''\n"
        "    card = Card(title='Mine', families=('own',), paper='', year=2026, time='N',\n"
        "                memory='N', causal='never', kind='own mechanism')\n"
        "    def attend(self, q, k, v, valid=None):\n"
        "        raise ValueError('\\x1b[31mred\\x1b[0m')\n"
    )
    words = ["profile", "-v", "mine", "--plugin", str(plugin), "-s", "64", *FAST]
    found = effattn(*words, "-o", str(tmp_path / "p.yaml"))
    assert found.returncode == 3
    assert "ValueError" in found.stdout
    assert "\x1b" not in found.stdout + found.stderr


def test_an_ascii_terminal_loses_no_line() -> None:
    found = alone("variants", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert found.returncode == 0, found.stderr
    assert "linformer" in found.stdout


def test_the_catalogue_and_a_card() -> None:
    listing = effattn("variants")
    assert listing.returncode == 0
    assert max(map(len, listing.stdout.splitlines())) <= 80
    names = effattn("variants", "--names").stdout.split()
    assert all(name in listing.stdout for name in names)
    family = effattn("variants", "family:linear", "--names").stdout.split()
    assert {"gated-deltanet", "mamba2", "performer"} <= set(family) < set(names)
    assert "sdpa" not in effattn("variants", "deployed", "--names").stdout.split()
    card = effattn("variants", "linformer").stdout
    assert "2006.04768" in card
    assert "rank" in card


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    for many in ("variants", "show ref:epyc-zen5-2-threads"):
        words = f"set -o pipefail; {shlex.join(MODULE)} {many} | head -1"
        found = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
        told = [line for line in found.stderr.splitlines() if not line.startswith("note: ")]
        assert (told, found.returncode) == ([], 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_said_in_one_line() -> None:
    words = [*MODULE, "variants"]
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert found.stderr.startswith("error: cannot write: ")
    shell = ["bash", "-c", f"{' '.join(words)} >&-"]
    closed = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert closed.stderr == ""


def test_a_saved_profile_is_resumed_by_its_name(tmp_path: Path) -> None:
    first = effattn(*TINY, XDG_DATA_HOME=str(tmp_path))
    assert first.returncode == 0, first.stderr
    again = effattn("profile", "--resume", "@1", "-q", XDG_DATA_HOME=str(tmp_path))
    assert again.returncode == 0, again.stderr
    (path,) = (tmp_path / "effattn" / "profiles").glob("*.yaml")
    assert f"saved: {path}" in first.stderr
    assert f"saved: {path}" in again.stderr  # rounds on a slower machine may be tried once more
    found = store.read(path)
    assert found.finished
    assert [len(record.runs) for record in found.records] == [2] * 4


def test_a_sweep_that_ended_without_all_its_cells_is_resumed(tmp_path: Path) -> None:
    """As one does whose time budget is spent: it is finished, and some cells were not timed."""
    path = tmp_path / "p.yaml"
    assert effattn(*TINY, "-o", str(path)).returncode == 0
    whole = store.read(path)
    *others, last = whole.records
    cut = replace(whole, records=(*others, replace(last, runs=())))
    store.Writer(path).write(cut)
    again = effattn("profile", "--resume", str(path), "-q")
    assert again.returncode == 0, again.stderr
    found = store.read(path)
    assert found.finished
    assert all(len(record.runs) == 2 for record in found.records)


@pytest.mark.in_ci
@pytest.mark.parametrize("columns", ["0", "", "-5", "wide"])
def test_a_width_that_is_none_is_taken_for_none(columns: str) -> None:
    found = alone("show", "ref:epyc-zen5-2-threads", COLUMNS=columns)
    assert found.returncode == 0, found.stderr
    assert found.stdout == alone("show", "ref:epyc-zen5-2-threads", COLUMNS="160").stdout


def test_an_ascii_terminal_is_told_all_in_ascii() -> None:
    found = alone("show", "ref:epyc-zen5-2-threads", COLUMNS="160", PYTHONIOENCODING="ascii")
    assert found.stdout.isascii()
    assert "us +-5 %" in found.stdout
    known = alone("show", "ref:epyc-zen5-2-threads", COLUMNS="160")
    assert found.stdout.count("?") == known.stdout.count("?")


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        (["--threads", "999"], {}, "note: 999 threads share "),
        (["--threads", "2"], {"OMP_NUM_THREADS": "1"},
         "note: OMP_NUM_THREADS is 1, but the sweep has --threads 2; --threads 1 would follow it"),
        (["--threads", "2"], {"MKL_NUM_THREADS": "1"}, "note: MKL_NUM_THREADS is 1, but"),
        (["--threads", "1"], {"OMP_NUM_THREADS": "1"}, ""),
    ],
)  # fmt: skip
def test_threads_that_a_reader_would_not_expect_are_told(
    words: list[str], variables: Any, told: str
) -> None:
    found = effattn(*TINY, *words, "--dry-run", "--quiet", **variables)
    assert found.returncode == 0
    assert told in found.stderr if told else "threads" not in found.stderr.lower()
