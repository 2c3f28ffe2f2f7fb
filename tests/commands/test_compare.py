"""The real commands on saved profiles: compare, merge, export."""

import csv
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from effattn_cli import store
from effattn_cli.records import Profile
from effattn_cli.report import markdown
from tests.builders import a_cell, a_machine, a_profile, drawing, failed, measured, predicted
from tests.running import effattn

SEQS = (1024, 2048, 4096)


def a_side(seed: int, factor: float = 1.0) -> Profile:
    rng = random.Random(seed)
    records = [
        measured(a_cell(label, seq), [factor * rng.lognormvariate(0, 0.02) for _ in range(3)])
        for label in ("sdpa", "linformer")
        for seq in SEQS
    ]
    return a_profile(*records, predicted(a_cell("sdpa", 65536), 60.0), failed(a_cell("sdpa", 9)))


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, str]:
    sides = {"old": a_side(1), "same": a_side(2), "slow": a_side(3, 1.5), "other": a_side(4)}
    sides["other"] = a_profile(*sides["other"].records, machine=a_machine(cpu="another"))
    for name, profile in sides.items():
        store.Writer(tmp_path / f"{name}.yaml").write(profile)
    return {name: str(tmp_path / f"{name}.yaml") for name in sides}


def test_a_regression_is_exit_code_1_only_where_a_limit_says_so(saved: dict[str, str]) -> None:
    found = effattn("compare", saved["old"], saved["slow"])
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    assert "latency: 6 slower" in found.stdout
    found = effattn("compare", saved["old"], saved["slow"], "--fail-if", "latency>5%")
    assert found.returncode == 1
    *cells, outcome = found.stderr.splitlines()
    assert len(cells) == 6
    assert cells[0].startswith("latency>5%: sdpa at 1k: +")
    assert outcome == "gate: latency>5%: broken by 6 of 6 cells"
    words = ["--fail-if", "latency>80%", "--fail-if", "memory>5%"]
    found = effattn("compare", saved["old"], saved["slow"], *words)
    assert found.returncode == 0
    assert found.stderr == (
        "gate: latency>80%: kept by 6 cells\ngate: memory>5%: kept by 6 cells\n"
    )


def test_a_limit_of_energy_holds_where_there_is_a_counter(tmp_path: Path) -> None:
    for name, factor in (("old", 1.0), ("hot", 1.5)):
        records = [drawing(r, *(factor * step for step in (1.0, 1.01, 0.99))) if r.runs else r
                   for r in a_side(1).records]  # fmt: skip
        store.Writer(tmp_path / f"{name}.yaml").write(a_profile(*records))
    words = ["compare", str(tmp_path / "old.yaml"), str(tmp_path / "hot.yaml")]
    found = effattn(*words, "--fail-if", "energy>5%", "--fail-if", "latency>5%")
    assert found.returncode == 1
    assert found.stderr.splitlines()[0] == "energy>5%: sdpa at 1k: +50.0%"
    assert found.stderr.splitlines()[-2:] == [
        "gate: energy>5%: broken by 6 of 6 cells", "gate: latency>5%: kept by 6 cells"
    ]  # fmt: skip
    assert "energy: 6 more" in found.stdout
    assert "energy, geometric mean over the cells of a variant" in found.stdout
    assert "1.50 J" in found.stdout


def test_a_limit_that_no_cell_was_held_to_fails(saved: dict[str, str]) -> None:
    words = ["--fail-if", "energy>5%", "--fail-if", "flops>5%"]
    found = effattn("compare", saved["old"], saved["same"], *words)
    assert found.returncode == 1
    why = "failed, because no cell has its energy in both profiles"
    assert found.stderr == f"gate: energy>5%: {why}\ngate: flops>5%: kept by 7 cells\n"


def test_each_of_several_profiles_is_held_to_the_limits(
    saved: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere.yaml"
    store.Writer(other).write(a_profile(measured(a_cell("performer", 99), 1.0)))
    words = [saved["old"], saved["same"], str(other), "--fail-if", "latency>50%"]
    found = effattn("compare", *words)
    assert found.returncode == 1
    kept, failed_one = found.stderr.splitlines()
    assert kept.startswith("gate: latency>50%: kept by 6 cells")
    assert failed_one.endswith(f"has its latency in both profiles, in {other}")


@pytest.mark.parametrize("limit", ["p95>5%", "tokens/s>5%", "latency>5%"])
def test_the_outcome_is_in_every_form_of_the_answer(saved: dict[str, str], limit: str) -> None:
    words = ["compare", saved["old"], saved["slow"], "--fail-if", limit]
    ended = {form: effattn(*words, "--output-format", form)
             for form in ("text", "json", "markdown", "github")}  # fmt: skip
    assert {found.returncode for found in ended.values()} == {1}
    outcome = next(line for line in ended["text"].stderr.splitlines() if line.startswith("gate: "))
    name = limit.replace("tokens/s", "throughput")
    assert outcome.startswith(f"gate: {name}: broken by 6 of 6 cells")
    assert markdown.text(outcome) in ended["markdown"].stdout
    document = json.loads(ended["json"].stdout)
    assert document["passed"] is False
    (each,) = document["comparisons"]
    assert each["gate"][0]["status"] == "broken"
    assert len(each["breaches"]) == 6
    title = name.replace("%", "%25")
    errors = [line for line in ended["github"].stdout.splitlines() if line.startswith("::error")]
    assert len(errors) == 6
    assert errors[0].startswith(f"::error title=effattn%3A {title}::sdpa at 1k: ")


def test_annotations_without_limits_are_warnings(saved: dict[str, str]) -> None:
    found = effattn("compare", saved["old"], saved["slow"], "--output-format", "github")
    assert found.returncode == 0
    lines = found.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["::warning"] * 6 + ["::notice"]


def test_an_unclear_cell_fails_only_where_it_is_strict(saved: dict[str, str]) -> None:
    words = ["compare", saved["old"], saved["same"], "--fail-if", "latency>1%"]
    assert effattn(*words).returncode == 0
    found = effattn(*words, "--strict")
    assert found.returncode == 1
    assert "unclear, up to" in found.stderr


def test_strict_is_advised_where_cells_are_unclear(saved: dict[str, str]) -> None:
    words = ["compare", saved["old"], saved["same"], "--fail-if", "latency>1%"]
    found = effattn(*words)
    assert found.returncode == 0
    assert "unclear and may break it: more --rounds would tell, --strict fails" in found.stderr
    warned = effattn(*words, "--output-format", "github").stdout
    assert "::warning title=effattn%3A latency>1%25::kept by 6 cells; " in warned


def test_a_profile_against_itself(saved: dict[str, str]) -> None:
    found = effattn("compare", saved["old"], saved["old"], "--json", "--fail-if", "latency>0.1%")
    assert found.returncode == 0
    (each,) = json.loads(found.stdout)["comparisons"]
    assert each["counts"]["latency"] == {"worse": 0, "better": 0, "same": 6, "unclear": 0}


def test_two_variants_of_one_sweep(saved: dict[str, str]) -> None:
    path = saved["old"]
    found = effattn("compare", path, "--variants", "sdpa", "linformer")
    assert found.returncode == 0, found.stderr
    whole = found.stdout.replace("\n", "")  # a long path is broken
    assert whole.startswith(f"old: sdpa in {path}  a CPU, ")
    assert f"new: linformer in {path}  a CPU, " in whole
    assert "sdpa -> linformer      3  " in found.stdout
    assert "differs" not in found.stdout
    found = effattn("compare", path, saved["slow"], "--variants", "linformer", "sdpa", "--json")
    (each,) = json.loads(found.stdout)["comparisons"]
    assert each["new"] == f"sdpa in {saved['slow']}"
    assert each["counts"]["latency"] == {"worse": 3, "better": 0, "same": 0, "unclear": 0}
    assert [cell["seq"] for cell in each["only_new"]] == [65536, 9]


def test_several_and_markdown(saved: dict[str, str]) -> None:
    found = effattn("compare", saved["old"], saved["same"], saved["other"], "--markdown")
    assert found.returncode == 0, found.stderr
    assert "differs: cpu: a CPU -&#62; another" in found.stdout


def test_charts_stand_below_what_is_told_and_only_where_they_are_asked_for(
    saved: dict[str, str],
) -> None:
    words = ["compare", saved["old"], saved["slow"]]
    plain = effattn(*words).stdout
    drawn = effattn(*words, "--chart").stdout
    assert drawn.startswith(plain)
    assert "latency over tokens, old and new" in drawn.removeprefix(plain)
    assert effattn(*words, "--chart", "--no-chart").stdout == plain
    assert "\x1b" not in drawn
    assert max(map(len, drawn.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["compare", "{old}", "no.yaml"], "cannot read 'no.yaml'"),
        (["compare", "{old}", "nobody"], "no profile 'nobody'"),
        (["compare", "{old}"], "there is nothing to compare"),
        (["compare", "{old}", "--variants", "sdpa", "lin"], "unknown variant of the profile 'lin'"),
        (["compare", "{old}", "{same}", "--fail-if", "latenzy>5%"], "unknown metric 'latenzy'"),
        (["compare", "{old}", "{same}", "--fail-if", "latency"], "is not a valid limit"),
        (["compare", "{old}", "{same}", "--threshold", "0%"], "--threshold: '0%' is not above 0"),
        (["compare", "{old}", "{same}", "--json", "--markdown"], "--json and --markdown"),
        (["compare", "{old}", "{same}", "--output-format", "github", "--json"], "one answer"),
        (["merge", "{tmp}/m.yaml", "{old}", "{other}"], "cpu: a CPU against another"),
        (["merge", "{old}", "{old}", "{same}"], "already exists"),
        (["merge", "{tmp}/no/m.yaml", "{old}"], "cannot write"),
        (["export", "{old}", "-f", "xml"], "'xml'"),
        (["export", "{old}", "-o", "{tmp}/no/x.csv"], "cannot write"),
        (["export", "{old}", "-o", "{tmp}"], "it is a folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(saved: dict[str, str], words: list[str], error: str) -> None:
    places = saved | {"tmp": str(Path(saved["old"]).parent)}
    found = effattn(*(word.format(**places) for word in words))
    assert found.returncode == 2
    if "--json" in words:
        assert json.loads(found.stdout)["effattn_error"] == 1
    else:
        assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert len(lines) <= 2


def test_merging_adds_rounds_and_writes_a_profile(saved: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "m.yaml"
    found = effattn("merge", str(out), saved["old"], saved["same"], saved["old"])
    assert found.returncode == 0, found.stderr
    assert found.stderr == f"saved: {out} (8 cells, 36 runs)\n"
    assert store.read(out).finished
    assert effattn("show", str(out)).returncode == 0


def test_the_csv_has_a_line_for_each_cell(saved: dict[str, str], tmp_path: Path) -> None:
    found = effattn("export", saved["old"])
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    profile = store.read(Path(saved["old"]))
    assert [(row["label"], int(row["seq"]), row["status"]) for row in rows] == [
        (record.cell.label, record.cell.seq, record.status) for record in profile.records
    ]
    assert float(rows[0]["seconds"]) == profile.records[0].seconds
    assert rows[-1]["reason"] == "out-of-memory"
    assert (rows[-2]["peak_bytes"], rows[-2]["peak_predicted"]) == ("4194304", "True")
    out = tmp_path / "p.csv"
    assert effattn("export", saved["old"], "-o", str(out)).stdout == ""
    assert out.read_text() == found.stdout


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    store.Writer(path).write(a_profile(failed(a_cell("=HYPERLINK()"), "raised", "@SUM(A1)\n=1")))
    (row,) = csv.DictReader(io.StringIO(effattn("export", str(path)).stdout))
    assert (row["label"], row["message"]) == ("'=HYPERLINK()", "'@SUM(A1) =1")


def test_json_and_markdown_hold_the_profile(saved: dict[str, str]) -> None:
    document = json.loads(effattn("export", saved["old"], "-f", "json").stdout)
    assert len(document["records"]) == 8
    text = effattn("export", saved["old"], "-f", "md").stdout
    assert "| seq | variant | latency |" in text
    assert "out of memory" in text


@pytest.mark.parametrize("command", ["compare", "export", "profiles"])
def test_neither_torch_nor_numpy_is_loaded(saved: dict[str, str], command: str) -> None:
    names = {"compare": [saved["old"], saved["same"]], "export": [saved["old"]], "profiles": []}
    code = (
        "import sys, effattn_cli.cli as cli\n"
        f"sys.argv = ['effattn', *{[command, *names[command]]!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'numpy', 'scipy'} & set(sys.modules), file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "set()"
