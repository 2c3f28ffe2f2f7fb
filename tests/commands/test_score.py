"""`effattn score`: scores of a user's own, and what `choose` makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from effattn_cli import store
from effattn_cli.analysis.compare.merging import merge
from effattn_cli.analysis.selection.quality import Quality
from effattn_cli.errors import UsageError
from effattn_cli.plan.typed_scores import scores
from effattn_cli.records import Scores
from tests.builders import a_cell, a_profile, measured
from tests.commands.test_choose import saved
from tests.running import effattn

OF = "validation accuracy, %"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(tmp_path / "p.yaml")


def test_choose_goes_by_the_profiles_own_scores_first(path: Path) -> None:
    asked = ["choose", str(path), "-s", "32k", "--latency", "5s"]
    before = json.loads(effattn(*asked, "--json").stdout)
    assert before["recommended"] == "sdpa"  # exact attention
    given = ["sdpa=80", "performer=79.5", "linformer=81.25"]
    entered = effattn("score", str(path), *given, "--of", OF)
    assert entered.stderr == f"saved: {path} (3 scores of {OF!r})\n"
    found = effattn(*asked, "--all").stdout
    assert f"a model must be trained with it; 81.25 in {OF}; exact" in " ".join(found.split())
    rows = [line.split()[0] for line in found.splitlines() if " fits" in line]
    assert rows[:3] == ["sdpa", "performer", "longformer"]
    assert f"score: {OF}, as the profile has it; more is better" in found
    after = json.loads(effattn(*asked, "--json").stdout)
    assert (after["recommended"], after["scored"]) == ("linformer", OF)


def test_scores_are_added_and_those_of_something_else_stay_unless_forced(path: Path) -> None:
    for values in (["linformer=81"], ["linformer=82", "sdpa=85"]):
        assert effattn("score", str(path), *values, "--of", OF).returncode == 0
    assert store.read(path).scores == Scores(of=OF, values={"linformer": 82.0, "sdpa": 85.0})
    other = ["score", str(path), "linformer=-2.5", "--of", "minus the loss"]
    refused = effattn(*other)
    assert refused.returncode == 2
    assert f"the profile holds scores of {OF!r}" in refused.stderr
    kept = ["score", str(path), "local=83", "--of", OF, "--force"]  # of the same: nothing is lost
    assert effattn(*kept).returncode == 2  # there is no such variant in the profile
    kept[2] = "performer=83"
    assert effattn(*kept).returncode == 0
    three = {"linformer": 82.0, "sdpa": 85.0, "performer": 83.0}
    assert store.read(path).scores == Scores(of=OF, values=three)
    assert effattn(*other, "--force").returncode == 0
    assert store.read(path).scores == Scores(of="minus the loss", values={"linformer": -2.5})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["linfomer=81"], "did you mean 'linformer'?"),
        (["linformer"], "'linformer' is not a variant and its score"),
        (["linformer=high"], "'linformer=high' is not a variant and its score"),
        (["linformer=nan"], "'linformer=nan' is not a variant and its score"),
        (["linformer=1", "linformer=2"], "'linformer' has two scores"),
    ],
)
def test_what_is_no_score_changes_nothing(path: Path, words: list[str], told: str) -> None:
    before = path.read_bytes()
    found = effattn("score", str(path), *words, "--of", OF)
    assert found.returncode == 2
    assert told in found.stderr
    assert path.read_bytes() == before


def test_a_shipped_profile_stays_as_it_is() -> None:
    found = effattn("score", "ref:epyc-zen5-2-threads", "linformer=81", "--of", OF)
    assert found.returncode == 2
    assert "effattn merge OUT.yaml ref:epyc-zen5-2-threads makes a copy" in found.stderr


def test_a_label_may_have_options() -> None:
    assert scores(["linformer:rank=64=80.5"]) == {"linformer:rank=64": 80.5}


def test_merged_profiles_keep_the_scores_of_one_thing() -> None:
    profiles = [
        a_profile(measured(a_cell(name), 1.0), scores=Scores(of=OF, values={name: value}))
        for name, value in (("sdpa", 2.0), ("linformer", 1.0))
    ]
    found = merge([a_profile(measured(a_cell("local"), 1.0)), *profiles], "")
    assert found.scores == Scores(of=OF, values={"sdpa": 2.0, "linformer": 1.0})
    other = a_profile(measured(a_cell("gqa"), 1.0), scores=Scores(of="loss", values={"gqa": 1.0}))
    with pytest.raises(UsageError, match="hold scores of different things"):
        merge([*profiles, other], "")


def test_evidence_of_ones_own_comes_before_published_evidence() -> None:
    def one(score: float | None, lra: float | None) -> Quality:
        facts: dict[str, Any] = {"checked": True, "deployed": False, "sees": None, "causal": False}
        return Quality(swap="trained", lra=lra, usual=True, score=score, **facts)

    better, worse = one(81.0, 40.0), one(80.0, 60.0)
    assert better.at_least(worse, training=True)
    assert not worse.at_least(better, training=True)
    assert not one(None, 60.0).at_least(better, training=True)
    assert one(None, 58.5).at_least(one(None, 60.0), training=True)
    assert not one(None, 57.5).at_least(one(None, 60.0), training=True)
