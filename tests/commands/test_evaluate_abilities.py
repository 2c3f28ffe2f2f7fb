"""`effattn evaluate --task recall,update,parity` as a person types it."""

from pathlib import Path

import pytest

from effattn_cli import store
from effattn_cli.errors import NothingMeasured
from tests.running import effattn


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("-t recal -v sdpa", "unknown task 'recal'"),
        ("-t recall", "--task recall trains variants, and none is named"),
        ("-t recall -v sdpa --heads 4", "--heads belongs to --task fidelity"),
        ("-t parity -v sdpa -s 4k", "--seq belongs to --task fidelity"),
        ("-t recall -v sdpa --tokens 64", "--tokens: 64 is out of range, from 128 to 16384"),
        ("-t recall -v sdpa --seeds 0", "--seeds: 0 is out of range"),
        ("-t update -v switch-transformer", "switch-transformer mixes no tokens"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_line(words: str, line: str) -> None:
    ended = effattn("evaluate", *words.split())
    assert ended.returncode == 2
    assert line in ended.stderr.splitlines()[0]
    assert "Traceback" not in ended.stderr


def test_what_a_variant_cannot_do_is_in_the_table_and_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    words = "evaluate -t parity -v linformer,glam --seeds 1".split()
    ended = effattn(*words, "-o", str(path))
    assert ended.returncode == NothingMeasured.exit_code
    assert "left out of parity, as they mix no tokens: glam" in ended.stderr
    assert "linformer (no mask)" in ended.stdout
    assert "not supported: parity asks after each token" in ended.stdout
    (record,) = store.read_evaluation(path).records
    (ability,) = record.ability
    assert {run.failure.reason for run in ability.runs if run.failure} == {"unsupported"}


@pytest.mark.slow
def test_trainings_are_told_saved_and_not_done_twice(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    words = "evaluate -t parity -v linear-transformer --seeds 1 --time-limit 1h".split()
    first = effattn(*words, "-o", str(path))
    assert first.returncode == 0
    assert "parity, rate 0.003, seed 0 (1/3)" in first.stderr
    assert "linear-transformer does not get 90 % right at 8 bits" in first.stdout
    found = store.read_evaluation(path)
    again = effattn("evaluate", "--resume", str(path))
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert store.read_evaluation(path) == found
