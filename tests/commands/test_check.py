"""`effattn check` and `effattn new`, as a person types them."""

import json
from pathlib import Path

import pytest

from effattn_cli import catalog, laws
from effattn_cli.app.conformance import finding
from effattn_cli.attention import Layer
from effattn_cli.records import Failure
from effattn_cli.run import worker
from effattn_cli.run.jobs import Checked, CheckLaw
from tests.running import alone, effattn

FAULTS = Path(__file__).parents[1] / "faults" / "plugins"
LAWS = list(laws.LAWS)
MEAN = '''
from effattn_cli.attention import Card, variant

@variant(card=Card(title="Mean", families=("own",), paper="", year=2026, time="N", memory="N",
                   causal="optional", padding=False, kind="own mechanism", exempt={exempt}))
def mean(q, k, v, causal):
    """Every token receives the mean of all values."""
    return q.sigmoid() * (k.sigmoid() * v).mean(2, keepdim=True)
'''


def checked(path: Path, *words: str) -> dict[str, tuple[str, str]]:
    """What each law's line says: its status and words."""
    found = effattn("check", str(path), "--json", *words)
    assert found.stderr == ""
    told = {
        item["law"]: (item["status"], item["words"]) for item in json.loads(found.stdout)["laws"]
    }
    assert found.returncode == any(status == "broken" for status, _ in told.values())
    return told


def test_a_new_variant_passes_and_runs(tmp_path: Path) -> None:
    made = effattn("new", "my_variant", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    first, check, profile = made.stdout.splitlines()
    assert first == "wrote my_variant.py; next:"
    found = alone(*check.split()[1:], cwd=tmp_path)
    assert found.returncode == 0, found.stdout
    assert [line.split()[0] for line in found.stdout.splitlines()[:-2]] == [
        "skipped" if law == "decoding" else "ok" for law in ["loading", *LAWS]
    ]
    assert found.stdout.splitlines()[-1] == "my-variant: 11 held, 1 skipped"
    shape = ["-s", "64", "--dim", "64", "--heads", "2", "--rounds", "1", "--out", "p.yaml"]
    swept = effattn(*profile.split()[1:], *shape, cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    assert "my-variant" in swept.stdout


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("My-Variant", "'My-Variant' is no name for a file", "did you mean 'my_variant'?"),
        ("MyVariant", "'MyVariant' is no name for a file", "did you mean 'my_variant'?"),
        ("../up", "'../up' is no name for a file", "did you mean 'up'?"),
        ("class", "'class' is no name for a file", ""),
        ("7", "'7' is no name for a file", ""),
        ("linformer", "there is a variant named 'linformer' already", ""),
        ("mine", "'mine.py' is there already", "give another name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, error: str, hint: str) -> None:
    (tmp_path / "mine.py").write_text("mine")
    found = effattn("new", name, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    first, *rest = found.stderr.splitlines()
    assert first.startswith(f"error: {error}")
    assert rest == ([f"hint: {hint}"] if hint else [])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    found = effattn("new", "mine", "--folder", str(tmp_path / "none"))
    assert found.returncode == 2
    assert found.stderr.startswith("error: cannot write ")
    assert len(found.stderr.splitlines()) == 1


def test_a_broken_law_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "mean.py"
    path.write_text(MEAN.format(exempt="{}"))
    found = effattn("check", str(path))
    assert found.returncode == 1
    assert max(map(len, found.stdout.splitlines())) <= 80
    words = " ".join(found.stdout.split())
    message = "output at position 0 changes when token 1 changes, but the card says causal"
    assert f"BROKEN causality {message}" in words
    assert "skipped padding the card says that it takes no padding" in words
    assert words.endswith("mean: 8 held, 1 broken, 3 skipped")


def test_an_exemption_is_told_and_has_to_be_needed(tmp_path: Path) -> None:
    exempt = {"causality": "it is a mean", "any length": "who knows", "casuality": "a slip"}
    path = tmp_path / "mean.py"
    path.write_text(MEAN.format(exempt=exempt))
    told: list[Checked] = []
    for law in ("causality", "any length", "loading", "padding", "gradients"):
        worker.run(CheckLaw(variant="mean", plugin=str(path), law=law), told.append)
    assert told == [
        Checked(skipped="exempt: it is a mean"),
        Checked(broken="the variant keeps this law; remove the exemption from its card"),
        Checked(broken="the card exempts it from 'casuality', which is no law"),
        Checked(skipped="the card says that it takes no padding"),
        Checked(),
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("segfaults", "the process was killed by signal 11 (SIGSEGV)"),
        pytest.param("exits_at_once", "ended without an answer", marks=pytest.mark.slow),
        pytest.param("raises_forward", "raised ValueError: no ", marks=pytest.mark.slow),
        pytest.param("hangs_in_c", "no answer within 1 s", marks=pytest.mark.slow),
        pytest.param("kills_the_server", "killed by signal 9", marks=pytest.mark.slow),
    ],
)
def test_a_law_that_a_plugin_falls_in_is_named_and_the_others_are_run(
    name: str, words: str
) -> None:
    told = checked(FAULTS / f"{name}.py", "--time-limit", "1s")
    runs_nothing = ["loading", "decoding", "options are plain"]
    assert list(told) == ["loading", *LAWS]
    for law, (status, why) in told.items():
        if law in runs_nothing:
            assert status in {"held", "skipped"}
        else:
            assert (status, words in why) == ("broken", True), law


def test_a_plugin_that_cannot_be_imported_breaks_the_first_law() -> None:
    told = checked(FAULTS / "raises_at_import.py")
    assert told == {
        "loading": ("broken", "raised ImportError: no such thing (raises_at_import.py:7)"),
        "all other laws": ("skipped", "it cannot be loaded"),
    }


def test_a_plugin_that_changes_torch_breaks_the_first_law() -> None:
    status, words = checked(FAULTS / "changes_grad_mode.py")["loading"]
    assert status == "broken"
    assert "changed torch for the whole process: the grad mode from True to False" in words


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["linfomer"], "unknown variant 'linfomer'"),
        (["none.py"], "there is no plugin file or folder 'none.py'"),
        (["sdpa", "--time-limit", "soon"], "--time-limit: 'soon' is no duration"),
        (["mean.py"], "mean.py: 'title' in line 4 is not literal: write the value itself"),
    ],
)
def test_what_cannot_be_checked_is_one_line(tmp_path: Path, words: list[str], error: str) -> None:
    text = MEAN.format(exempt="{}").replace('title="Mean"', "title=title")
    (tmp_path / "mean.py").write_text(text)
    found = effattn("check", *words, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("error: ")
    assert error in found.stderr.splitlines()[0]


@pytest.mark.parametrize("name", catalog.bundled_names())
def test_what_a_law_skips_it_says(name: str) -> None:
    variant = catalog.load(name, kind=Layer)
    for law, applies in {
        "padding": variant.card.padding,
        "causality": variant.card.causal != "never",
        "decoding": hasattr(variant, "decode"),
    }.items():
        if law not in variant.card.exempt:
            assert (laws.LAWS[law](variant) is None) == applies


def test_a_failure_becomes_a_finding() -> None:
    for reason, words in (("raised", "raised KeyError: x"), ("unsupported", "refused: KeyError: x"),
                          ("crashed", "KeyError: x")):  # fmt: skip
        failure = Failure(reason=reason, message="KeyError: x", output=("last",))  # type: ignore[arg-type]
        found = finding("growth", failure)
        assert (found.status, found.words, found.output) == ("broken", words, ("last",))
