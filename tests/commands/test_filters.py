"""A part of a saved profile, shown, exported and crossed; and where its numbers are from."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from effattn_cli import store
from effattn_cli.report.console import paged
from effattn_cli.report.profile.csv_export import as_csv
from tests.builders import a_cell, a_profile, measured
from tests.running import effattn

ORIGIN = "a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0"


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    records = [
        measured(a_cell(label, seq, causal=causal), milliseconds / 1e3)
        for causal in (False, True)
        for label, factor in (("sdpa", 4), ("linformer", 2), ("linformer:rank=64", 1))
        for seq, milliseconds in ((1024, factor), (2048, 2 * factor), (4096, 4 * factor))
    ]
    path = tmp_path_factory.mktemp("saved") / "p.yaml"
    path.write_text(store.as_yaml(a_profile(*records)))
    return str(path)


def cells(*words: str) -> set[tuple[str, int, bool]]:
    found = effattn(*words)
    assert found.returncode == 0, found.stderr
    records = (record["cell"] for record in json.loads(found.stdout)["records"])
    labels = ((cell["variant"], cell["options"].get("rank"), cell) for cell in records)
    return {
        (f"{variant}:{rank}" if rank else variant, cell["seq"], cell["setting"]["causal"])
        for variant, rank, cell in labels
    }


@pytest.mark.parametrize("command", [["show", "--json"], ["export", "-f", "json"]])
def test_a_part_is_shown_and_exported(command: list[str], name: str) -> None:
    words = [command[0], name, *command[1:]]
    assert len(cells(*words)) == 18
    assert cells(*words, "-v", "linformer:rank=64", "-s", "1k..2k", "--causal") == {
        (label, seq, True) for label in ("sdpa", "linformer:64") for seq in (1024, 2048)
    }
    assert {cell[2] for cell in cells(*words, "--no-causal")} == {False}


def test_crossovers_of_a_part(name: str) -> None:
    whole = effattn("crossover", name).stdout
    part = effattn("crossover", name, "-v", "linformer:rank=64", "--causal").stdout
    assert "not causal" in whole
    assert "not causal" not in part
    assert "rank=64" in part
    assert whole.count("latency") == 4
    assert part.count("latency") == 1
    refused = effattn("crossover", name, "--rounds", "3")
    assert refused.returncode == 2
    assert "--rounds starts a new measurement" in refused.stderr


@pytest.mark.parametrize("command", ["show", "export", "crossover"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-v", "linformr"], "did you mean 'linformer'?"),
        (["-s", "3k"], "valid: 1024, 2048, 4096"),
        (["--phase", "train"], "nothing was measured with phase train, only with forward"),
    ],
)
def test_what_is_not_there_is_one_line(
    command: str, words: list[str], told: str, name: str
) -> None:
    found = effattn(command, name, *words)
    assert (found.returncode, found.stdout) == (2, "")
    assert told in found.stderr


def test_screen_markdown_and_csv_say_where_the_numbers_are_from(name: str) -> None:
    for words in (["show", name], ["crossover", name], ["export", name, "-f", "md"]):
        assert ORIGIN in effattn(*words).stdout
    row = next(csv.DictReader(io.StringIO(effattn("export", name).stdout)))
    assert (row["torch"], row["effattn"], row["created"][:10]) == ("2.13.0", "0.1.0", "2026-01-02")
    assert "a CPU" in row["machine"]


def test_csv_has_the_speedup_and_percentiles() -> None:
    records = [measured(a_cell(), 4e-3), measured(a_cell("linformer"), 1e-3, spread=0.1)]
    first, second = csv.DictReader(io.StringIO(as_csv(a_profile(*records))))
    assert (first["baseline"], first["speedup"]) == ("", "")
    assert second["baseline"] == "sdpa"
    assert float(second["speedup"]) == pytest.approx(4.0)
    assert float(second["low_speedup"]) < 4.0 < float(second["high_speedup"])
    samples = sorted(records[1].samples)
    assert float(second["p95_seconds"]) == pytest.approx(samples[-1])
    assert float(second["p90_seconds"]) <= float(second["p99_seconds"])


def test_a_long_answer_goes_through_a_pager_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("pydoc.pager", shown.append)
    for pager in (True, False):
        with paged(Console(file=io.StringIO(), force_terminal=True), pager=pager) as _:
            pass
    assert len(shown) == 1
    text = io.StringIO()
    console = Console(file=text)
    with paged(console, pager=True):
        console.print("to a file")
    assert (len(shown), text.getvalue()) == (1, "to a file\n")


def test_an_export_is_paged_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("pydoc.pager", shown.append)
    plain = effattn("export", name).stdout
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm"}
    assert effattn("export", name, cwd=None, **terminal).stdout == ""
    assert shown == [plain]
    assert effattn("export", name, "--no-pager", cwd=None, **terminal).stdout == plain


def test_ascii_has_no_question_mark_for_a_sign(name: str) -> None:
    from effattn_cli.report.stand_ins import in_ascii

    assert in_ascii("a · b ≤ c → d ≥ e") == "a - b <= c -> d >= e"
    assert not re.search(r"[^\x00-\x7f]", in_ascii(effattn("show", name).stdout))
