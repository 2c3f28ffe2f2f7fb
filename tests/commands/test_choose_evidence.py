"""What evaluations have to say in `effattn choose`, as a person types it."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli import library, store
from effattn_cli.evaluation import CAPTURED, OWN, Ability, Evaluation, Evidence, Task, Training
from tests.analysis.grids import grid, variants
from tests.builders import a_cell, a_profile, a_variant, an_evaluation, faithful
from tests.commands.test_choose import words
from tests.running import effattn

ASKED = ("-s", "32k", "--latency", "140ms", "--keep-weights")


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """With performer (79 ms), longformer (131 ms) and reformer (246 ms) that keep the weights."""
    known = variants()
    for name in ("longformer", "reformer"):
        card = replace(known[name].card, swap="lossy")
        known[name] = replace(known[name], card=card)
    path = tmp_path / "p.yaml"
    store.Writer(path).write(replace(a_profile(*grid()), variants=known))
    return str(path)


def off(label: str, error: float, regime: str = CAPTURED, seq: int = 1024) -> Evidence:
    return faithful(a_cell(label, seq), error, regime, heads=8)


def saved(path: Path, *records: Evidence, **facts: Any) -> str:
    store.Writer(path).write(an_evaluation(*records, finished=True, **facts))
    return str(path)


def able(label: str, *accuracies: float, task: Task = "recall") -> Evidence:
    run = Training(rate=0.01, seed=0, accuracies=accuracies)
    learned = Ability(task=task, loads=(8, 16, 32)[: len(accuracies)], runs=(run,))
    return Evidence(cell=a_cell(label, 128, dim=64, heads=2), ability=(learned,))


def test_the_error_settles_which_of_two_keeps_the_weights(profile: str, tmp_path: Path) -> None:
    near = saved(tmp_path / "e.yaml", off("performer", 0.4), off("longformer", 0.1))
    found = effattn("choose", profile, *ASKED, "--evidence", near)
    assert found.returncode == 0, found.stderr
    costs = "it keeps a model's weights, with an error of 10 % on captured heads at 1k only (beyond"
    assert f"Use longformer (131 ms): {costs}" in words(found)
    assert "tied" not in found.stdout
    rows = {line.split()[0]: line for line in found.stdout.splitlines() if line[:1].strip()}
    assert "error 10 %" in rows["longformer"]
    assert "error 40 %" in rows["performer"]
    assert "error: of the output, untrained, on captured heads at 1k (" in words(found)


def test_what_was_no_limit_in_so_few_tokens_says_nothing_of_more(
    profile: str, tmp_path: Path
) -> None:
    wide = saved(tmp_path / "e.yaml", off("performer", 1e-7), off("longformer", 0.1))
    found = effattn("choose", profile, *ASKED, "--evidence", wide)
    assert "error <" not in found.stdout
    assert "error 10 %" in found.stdout
    short = effattn(
        "choose", profile, "-s", "1k", *ASKED[2:], "--evidence", wide, "-v", "performer"
    )
    assert "with an error of <0.01 % on captured heads at 1k" in words(short)


def test_a_limit_of_the_error_keeps_out_what_is_worse_or_not_known(
    profile: str, tmp_path: Path
) -> None:
    near = saved(tmp_path / "e.yaml", off("performer", 0.3), off("longformer", 0.02))
    asked = ("choose", profile, "-s", "32k", "--latency", "1s", "--fidelity", "5%")
    found = effattn(*asked, "--evidence", near, "--all")
    assert "32k tokens within 1 s, with an error of 5 %" in found.stdout
    rows = {line.split()[0]: line for line in found.stdout.splitlines() if line[:1].strip()}
    assert "recommended" in rows["longformer"]
    assert "an error of 30 %" in rows["performer"]
    assert "its error is not known: effattn evaluate" in rows["reformer"]
    assert "must be trained" in rows["linformer"]  # a limit of the error is one of kept weights


def test_what_the_limit_of_the_error_costs_is_told(profile: str, tmp_path: Path) -> None:
    far = saved(tmp_path / "e.yaml", off("performer", 0.3))
    found = effattn("choose", profile, *ASKED, "--fidelity", "5%", "--evidence", far)
    assert found.returncode == 1
    said = words(found)
    nothing = "Keep softmax: nothing that keeps a model's weights meets 140 ms and an error of 5 %"
    assert nothing in said
    assert "sdpa comes nearest" in said
    error = "an error of 30 % on captured heads at 1k"
    assert f"performer would take 78.7 ms: it keeps a model's weights, with {error}" in said
    alone = effattn("choose", profile, "-s", "32k", "--fidelity", "5%", "-v", "performer",
                    "--evidence", far)  # fmt: skip
    assert f"with {error} performer fits" in words(alone)


@pytest.mark.parametrize(
    ("limit", "command"),
    [(("--fidelity", "5%"), "effattn evaluate -v performer,longformer,reformer measures it"),
     (("--recall", "32"), "--task recall measures it")],
)  # fmt: skip
def test_a_limit_without_evidence_is_refused_with_the_command(
    profile: str, tmp_path: Path, limit: tuple[str, str], command: str
) -> None:
    other = saved(tmp_path / "e.yaml", off("sdpa", 1e-7))
    found = effattn("choose", profile, *ASKED, *limit, "--evidence", other, "-v",
                    "longformer,performer,reformer,sdpa")  # fmt: skip
    assert (found.returncode, found.stdout) == (2, "")
    assert "of none of these variants is it known" in found.stderr
    assert command in found.stderr


@pytest.mark.parametrize(
    ("task", "does", "what"),
    [("recall", "recalls", "pairs"), ("update", "updates", "pairs"), ("parity", "counts", "bits")],
)
def test_what_a_tiny_model_learns_is_a_limit(
    profile: str, tmp_path: Path, task: Task, does: str, what: str
) -> None:
    learned = [able("performer", 1.0, 0.95, 0.5, task=task), able("longformer", 1, 1, 1, task=task)]
    path = saved(tmp_path / "e.yaml", *learned)
    found = effattn("choose", profile, "-s", "32k", "--latency", "1s", f"--{task}", "32",
                    "--evidence", path, "--all")  # fmt: skip
    assert f"32k tokens within 1 s, with {task} of 32 {what}" in words(found)
    assert "Use longformer" in words(found)
    assert f"a tiny model {does} 32 {what} with it" in words(found)
    rows = {line.split()[0]: line for line in found.stdout.splitlines() if line[:1].strip()}
    assert f"{does} 32" in rows["longformer"]
    assert f"{does} 16 {what}" in rows["performer"]
    assert f"what it {does} is not known: effattn evaluate -t {task}" in words(found)
    assert f"{does}: {what} that a tiny model gets 90 % right at" in words(found)


def test_what_a_tiny_model_loses_against_exact_attention_is_told(
    profile: str, tmp_path: Path
) -> None:
    learned = [able("sdpa", 1, 1, 1), able("linformer", 1, 0.5), able("performer", 1, 0.5)]
    path = saved(tmp_path / "e.yaml", *learned)
    asked = ("choose", profile, "-s", "32k", "--latency", "1s", "--evidence", path)
    less = "a tiny model recalls 8 pairs with it (32 with exact attention)"
    assert less in words(effattn(*asked, "-v", "linformer,sdpa"))
    assert less in words(effattn(*asked, "-v", "performer,sdpa", "--trained"))
    assert less not in words(effattn(*asked, "-v", "performer,sdpa"))  # its weights are kept
    without = effattn(*asked, "-v", "linformer")
    assert "tiny model recalls 8 pairs" not in words(without)


def test_a_tie_that_a_task_would_settle_names_it(profile: str, tmp_path: Path) -> None:
    alike = saved(tmp_path / "a.yaml", able("linformer", 1, 0.5), able("reformer", 1, 0.5))
    other = saved(tmp_path / "o.yaml", able("linformer", 1, 1), able("reformer", 1, 0.5))
    asked = ("choose", profile, "-s", "32k", "--latency", "1s", "--trained", "-v",
             "linformer,reformer", "--evidence")  # fmt: skip
    hint = "--recall tells them apart by what tiny models learn"
    assert "tied in quality" in words(effattn(*asked, alike))
    assert hint not in words(effattn(*asked, alike))
    assert hint in words(effattn(*asked, other))


def test_ones_own_heads_are_named(profile: str, tmp_path: Path) -> None:
    own = saved(tmp_path / "e.yaml", off("performer", 0.04, OWN, 512), off("longformer", 0.01))
    found = words(effattn("choose", profile, *ASKED, "--evidence", own))
    assert "an error of 4 % on your own q, k and v at 512" in found
    assert "Use performer" in found  # of longformer the other heads say nothing here


def test_other_code_is_told(profile: str, tmp_path: Path) -> None:
    known = {"performer": a_variant("performer", code="ba9876543210")}
    path = saved(tmp_path / "e.yaml", off("performer", 0.1), variants=known)
    found = effattn("choose", profile, *ASKED, "--evidence", path)
    assert "the evidence on performer is of other code than the profile's" in found.stderr
    assert "error 10 %*" in found.stdout


def test_json_and_the_explanation_have_the_evidence(profile: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "e.yaml", off("performer", 0.1))
    asked = ("choose", profile, *ASKED, "--fidelity", "20%", "--evidence", path)
    document = json.loads(effattn(*asked, "--json").stdout)
    assert document["needs"]["fidelity"] == 0.2
    best = document["candidates"][0]
    known = best["quality"]["measured"]["fidelity"]
    assert best["label"] == "performer"
    assert known["value"] == pytest.approx(0.1)
    assert (known["regime"], known["seq"], known["source"]) == (CAPTURED, 1024, path)
    told = words(effattn(*asked, "--explain"))
    assert "an error of 10 % on captured heads at 1k; 95 % interval" in told


def test_the_newest_evaluation_is_taken_before_those_that_are_shipped(
    profile: str, tmp_path: Path
) -> None:
    folder = tmp_path / "effattn" / "evaluations"
    folder.mkdir(parents=True)
    saved(folder / "old.yaml", off("longformer", 0.01), created="2026-01-01T00:00:00+00:00")
    saved(folder / "new.yaml", off("longformer", 0.34))
    found = effattn("choose", profile, *ASKED, XDG_DATA_HOME=str(tmp_path))
    assert "evidence from new" in found.stderr
    assert "error 34 %" in found.stdout


def test_a_named_evaluation_that_is_not_there_is_refused(profile: str) -> None:
    found = effattn("choose", profile, *ASKED, "--evidence", "ref:nothing-like-it")
    assert (found.returncode, found.stdout) == (2, "")
    assert "no evaluation 'ref:nothing-like-it'" in found.stderr


@pytest.mark.parametrize(
    ("asked", "error"),
    [(("--trained", "--fidelity", "5%"), "--fidelity is of what keeps the weights"),
     (("--fidelity", "5"), "--fidelity: '5' is not a valid share"),
     (("--recall", "0"), "--recall: 0 is out of range, from 1 to 64"),
     (("--update", "33"), "--update: 33 is out of range, from 1 to 32"),
     (("--parity", "129"), "--parity: 129 is out of range, from 1 to 128")],
)  # fmt: skip
def test_limits_that_say_nothing_are_refused(
    profile: str, asked: tuple[str, ...], error: str
) -> None:
    found = effattn("choose", profile, "-s", "32k", *asked)
    assert (found.returncode, found.stdout) == (2, "")
    assert error in found.stderr


def test_the_page_shows_the_evidence(profile: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "e.yaml", off("performer", 0.13))
    out = tmp_path / "page.html"
    found = effattn("report", profile, "-o", str(out), "--evidence", path)
    assert found.returncode == 0, found.stderr
    page = out.read_text()
    assert "error 13 %" in page
    assert "of the output, untrained, on captured heads at 1k" in page


def test_evaluations_are_listed_beside_profiles(tmp_path: Path) -> None:
    folder = tmp_path / "effattn" / "evaluations"
    folder.mkdir(parents=True)
    saved(folder / "mine.yaml", off("performer", 0.1))
    found = effattn("profiles", XDG_DATA_HOME=str(tmp_path)).stdout
    profiles, _, evaluations = found.partition("Evaluations\n")
    assert "ref:epyc-zen5-2-threads" in profiles
    assert "@1   mine" in evaluations
    document = json.loads(effattn("profiles", "--json", XDG_DATA_HOME=str(tmp_path)).stdout)
    assert document["evaluations"][0]["name"] == "mine"


def test_the_shipped_evaluations_are_whole_and_of_the_shipped_code() -> None:
    known = library.references(store.EVALUATION)
    profile = library.read("ref:epyc-zen5-2-threads")
    assert known
    for name in known:
        evaluation: Evaluation = library.read_evaluation(name)
        assert evaluation.finished
        for variant, facts in evaluation.variants.items():
            if variant in profile.variants:
                assert facts.code == profile.variants[variant].code
