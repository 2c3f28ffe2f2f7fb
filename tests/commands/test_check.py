"""`effattn check` and `effattn new`, as a person types them."""

import json
from pathlib import Path

import pytest

from effattn_cli import laws
from effattn_cli.app.conformance import finding
from effattn_cli.records import Failure
from effattn_cli.run import worker
from effattn_cli.run.jobs import Checked, CheckLaw
from tests.running import alone, effattn

FAULTS = Path(__file__).parents[1] / "faults" / "plugins"
LAWS = list(laws.LAWS)
OF_DECODING = {"decoding", "long decoding", "growth of the state"}
NOT_OF_NEW_ONES = {*OF_DECODING, "swap"}  # they claim nothing
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


@pytest.mark.in_ci
def test_a_new_variant_passes_and_runs(tmp_path: Path) -> None:
    made = effattn("new", "my_variant", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    first, check, profile = made.stdout.splitlines()
    assert first == "wrote my_variant.py; next:"
    found = alone(*check.split()[1:], cwd=tmp_path)
    assert found.returncode == 0, found.stdout
    assert [line.split()[0] for line in found.stdout.splitlines()[:-2]] == [
        "skipped" if law in NOT_OF_NEW_ONES else "ok" for law in ["loading", *LAWS]
    ]
    assert found.stdout.splitlines()[-1] == "my-variant: 13 passed, 4 skipped"
    shape = ["-s", "64", "--dim", "64", "--heads", "2", "--rounds", "1", "--out", "p.yaml"]
    swept = effattn(*profile.split()[1:], *shape, cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    assert "my-variant" in swept.stdout


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("My-Variant", "'My-Variant' is not a valid file name", "did you mean 'my_variant'?"),
        ("MyVariant", "'MyVariant' is not a valid file name", "did you mean 'my_variant'?"),
        ("../up", "'../up' is not a valid file name", "did you mean 'up'?"),
        ("class", "'class' is not a valid file name", ""),
        ("7", "'7' is not a valid file name", ""),
        ("linformer", "there is a variant named 'linformer' already", ""),
        ("mine", "'mine.py' already exists", "give another name"),
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
    found = effattn("new", "mine", "-o", str(tmp_path / "none" / "mine.py"))
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
    assert words.endswith("mean: 10 passed, 1 broken, 6 skipped")


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
        Checked(broken="the card exempts it from 'casuality', which is not a law"),
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
    runs_nothing = {"loading", "options are plain", *NOT_OF_NEW_ONES}
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
        (["sdpa", "--time-limit", "soon"], "--time-limit: 'soon' is not a valid duration"),
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


def test_a_failure_becomes_a_finding() -> None:
    for reason, words in (("raised", "raised KeyError: x"), ("unsupported", "refused: KeyError: x"),
                          ("crashed", "KeyError: x")):  # fmt: skip
        failure = Failure(reason=reason, message="KeyError: x", output=("last",))  # type: ignore[arg-type]
        found = finding("growth", failure)
        assert (found.status, found.words, found.output) == ("broken", words, ("last",))


RING = """
from dataclasses import dataclass

from effattn_cli.attention import Card, Decodable
from effattn_cli.parts.banded import Ring, banded


class Short(Decodable[Ring]):
    "A window whose ring is one slot short."

    grouped = True
    card = Card(title="Short", families=("own",), paper="", year=2026, time="N w", memory="N",
                causal="optional", kind="own mechanism")

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        window: int = 256

    def attend(self, q, k, v, valid=None):
        return banded(q, k, v, before=self.config.window - 1, after=0)

    def init_state(self, batch, context):
        return Ring.init(self, batch, context, last=max(1, self.config.window - 1))

    def step(self, q, k, v, state):
        state = state.append(k, v)
        return state.attend(q), state
"""


@pytest.mark.in_ci
@pytest.mark.parametrize("options", ["", ":window=16"])
def test_decoding_is_looked_at_past_a_window(tmp_path: Path, options: str) -> None:
    path = tmp_path / "short.py"
    path.write_text(RING)
    ended = effattn("check", f"{path}{options}")
    assert ended.returncode == 1
    step = 15 if options else 255
    words = " ".join(ended.stdout.split())
    assert f"decoding step {step} differs from the causal forward" in words
    assert ended.stdout.splitlines()[-1].startswith(f"short{options}: ")


def test_a_call_that_changes_its_input_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mean.py"
    path.write_text(MEAN.format(exempt="{}").replace("    return", "    q.mul_(2)\n    return"))
    ended = effattn("check", str(path))
    assert "a call changes its input q" in " ".join(ended.stdout.split())


def test_a_plain_module_is_held_to_what_it_can_be_held_to() -> None:
    ended = effattn("check", "tests.plugins.two_plain:Mixer")
    words = " ".join(ended.stdout.split())
    assert ended.returncode == 0, ended.stdout
    assert "skipped growth the card does not say how it grows" in words
    assert "skipped causality the card says that it is never causal" in words


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("linformer:rank=8,16", "'linformer:rank=8,16' stands for 2 variants: name one"),
        ("linformer:ranks=8", "unknown option"),
        ("linform", "unknown variant 'linform'"),
        ("nothing.py", "there is no plugin file or folder 'nothing.py'"),
    ],
)
def test_what_is_no_variant_is_one_line(asked: str, says: str) -> None:
    ended = effattn("check", asked)
    assert ended.returncode == 2
    assert says in ended.stderr.splitlines()[0]
