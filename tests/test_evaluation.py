"""Evaluations on disk: what profiles keep to holds of them too."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli import files, library, store
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import Ability, Evaluation, Evidence, Fidelity, Training
from effattn_cli.records import Failure
from tests.builders import a_cell, a_profile, a_variant, an_evaluation, faithful


def a_mixed_evaluation() -> Evaluation:
    learned = Ability(
        task="recall",
        loads=(8, 16),
        budget=60.0,
        runs=(Training(rate=0.01, seed=0, accuracies=(1.0, 0.5), steps_to_90=300, seconds=20.5),),
    )
    refused = Fidelity(regime="clustered", failure=Failure(reason="raised", message="no"))
    return an_evaluation(
        faithful(a_cell("sliding-window:window=64", 1024), 0.5, state_bytes=4096),
        Evidence(cell=a_cell("sdpa", 4096), ability=(learned,), fidelity=(refused,)),
    )


def test_an_evaluation_comes_back_equal(tmp_path: Path) -> None:
    store.Writer(tmp_path / "e.yaml").write(a_mixed_evaluation())
    assert store.read_evaluation(tmp_path / "e.yaml") == a_mixed_evaluation()


@given(st.lists(st.floats(0, 1e20), max_size=5), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_error_and_any_name_of_a_regime_comes_back(errors: list[float], regime: str) -> None:
    found = Fidelity(regime=regime, errors=tuple(errors))
    whole = an_evaluation(Evidence(cell=a_cell(), fidelity=(found,)))
    written = store.as_yaml(whole)
    assert store.reading.document(written.encode(), store.EVALUATION) == whole
    (record,) = yaml.safe_load(written)["records"]
    assert [float(error) for error in record["fidelity"][0].get("errors", [])] == errors


def test_a_record_that_was_added_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    whole, path = a_mixed_evaluation(), tmp_path / "e.yaml"
    writer = store.Writer(path)
    writer.write(whole)
    newer = replace(whole.records[0], state_bytes=1)
    writer.add(newer)
    writer.close()
    assert store.read_evaluation(path).records == (newer, whole.records[1])
    path.write_bytes(path.read_bytes() + b'- {"cell": {"variant": "sd')  # killed as it wrote
    assert store.read_evaluation(path).records == (newer, whole.records[1])


def test_the_head_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    store.Writer(path).write(a_mixed_evaluation())
    head = store.heading(path, store.EVALUATION)
    assert (head.variants, head.cells) == (("sliding-window", "sdpa"), 2)


def test_a_profile_is_no_evaluation_and_the_other_way_round(tmp_path: Path) -> None:
    store.Writer(tmp_path / "e.yaml").write(a_mixed_evaluation())
    store.Writer(tmp_path / "p.yaml").write(a_profile())
    with pytest.raises(UsageError, match="not an effattn profile"):
        store.read(tmp_path / "e.yaml")
    with pytest.raises(UsageError, match="not an effattn evaluation"):
        store.read_evaluation(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"errors": [0.45', '"errors": [-0.45', "errors.*expected 0 or more"),
        ('"cosines": [0.9', '"cosines": [1.9', "cosines"),
        ('"regime"', '"regimes"', "unknown key 'regimes'"),
        ('"regime": "isotropic-0.5"', '"regime": 3', "regime: expected text, got 3"),
        ('"task": "recall"', '"task": "recal"', "'recall'"),
        ("effattn_evaluation: 1", "effattn_evaluation: 9", "schema version '9'"),
        ("seed: 0", "seed: -1", "seed: expected 0 or more, got -1"),
        ('"variant": "sdpa"', '"variant": "sdpe"', "no such variant in this file"),
    ],
)
def test_a_wrong_value_is_named(old: str, new: str, message: str) -> None:
    text = store.as_yaml(a_mixed_evaluation())
    assert old in text
    with (
        pytest.raises(UsageError, match=message) as raised,
        store.reading.refused("e.yaml"),
    ):
        store.reading.document(text.replace(old, new).encode(), store.EVALUATION)
    assert "\n" not in str(raised.value)


def test_evaluations_are_named_as_profiles_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "saved_folder", lambda of="profiles": tmp_path / of)
    variants = {"sdpa": a_variant("sdpa")}
    for whole in (an_evaluation(variants=variants), a_profile()):
        with files.locked_new(whole) as path:
            store.Writer(path).write(whole)
    assert path.parent == tmp_path / "profiles"
    assert library.read_evaluation("@1") == an_evaluation(variants=variants)
    assert list(library.saved(store.EVALUATION)) == ["2026-01-02-030405-sdpa"]
    with pytest.raises(UsageError, match="no evaluation 'ref:none'"):
        library.read_evaluation("ref:none")


def test_a_variant_that_was_renamed_since_is_read_under_its_present_name(tmp_path: Path) -> None:
    record = faithful(a_cell("local:window=64"), 0.5)
    variants = {"local": a_variant("local")}
    store.Writer(tmp_path / "e.yaml").write(an_evaluation(record, variants=variants))
    found = store.read_evaluation(tmp_path / "e.yaml")
    assert [one.cell.label for one in found.records] == ["sliding-window:window=64"]
    assert list(found.variants) == ["sliding-window"]
