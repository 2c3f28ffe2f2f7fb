"""What people expect of any command: help, colours, variables, completion, one meaning a word."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from effattn_cli import cli
from effattn_cli.commands import notes
from effattn_cli.models.presets import configs
from effattn_cli.report.console import stdout
from tests.running import alone, effattn

COMMANDS: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
REF = "ref:epyc-zen5-2-threads-linformer"


def options(name: str) -> list[Any]:
    return [p for p in COMMANDS[name].params if p.param_type_name == "option"]


def test_without_a_command_there_is_help() -> None:
    found = alone()
    assert (found.returncode, found.stderr) == (0, "")
    assert "Usage: " in found.stdout
    assert "choose" in found.stdout
    assert effattn("-V").stdout == effattn("--version").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_what_stands_for_a_value_is_in_capitals(name: str) -> None:
    for option in options(name):
        if option.is_flag or option.name == "help":
            continue
        assert re.fullmatch(r"[A-Z][A-Z=| ]*", option.metavar or ""), option.opts


def test_a_letter_stands_for_one_option_in_every_command() -> None:
    longs: dict[str, set[str]] = {}
    for name in COMMANDS:
        for option in options(name):
            for short in (word for word in option.opts if not word.startswith("--")):
                longs.setdefault(short, set()).add(option.opts[0])
    assert {short: names for short, names in longs.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    "name", ["profile", "crossover", "evaluate", "export", "report", "merge", "new"]
)
def test_what_writes_a_file_takes_o(name: str) -> None:
    assert any("-o" in option.opts for option in options(name))


def test_an_option_can_come_from_the_environment(tmp_path: Path) -> None:
    words = ["profile", "-s", "64", "--dry-run", "-q"]
    found = effattn(*words, EFFATTN_PROFILE_VARIANT="local performer", EFFATTN_PROFILE_DIM="64")
    assert found.returncode == 0, found.stderr
    assert "performer" in found.stdout
    assert "dim 64" in found.stdout
    wrong = effattn(*words, EFFATTN_PROFILE_VARIANT="linformr")
    assert (wrong.returncode, "did you mean 'linformer'?" in wrong.stderr) == (2, True)
    assert effattn("profiles", EFFATTN_VERSION="1").stdout != effattn("-V").stdout
    assert "env var" not in effattn("profile", "--help").stdout


def test_colours_are_always_or_never_there() -> None:
    always = alone("show", REF, "--color", "always", "--no-chart")
    never = alone("--color=never", "show", REF, "--no-chart", FORCE_COLOR="1")
    assert "\x1b[" in always.stdout
    assert "\x1b[" not in never.stdout
    assert re.sub(r"\x1b\[[0-9;]*m", "", always.stdout) == never.stdout
    assert "\x1b[" not in alone("profile", "--help", "--color", "never", FORCE_COLOR="1").stdout
    assert effattn("--color", "sometimes", "profiles").returncode == 2


def test_what_a_console_does_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFATTN_COLOR", "never")
    assert stdout().color_system is None


def test_known_models_are_listed() -> None:
    found = effattn("presets")
    assert found.returncode == 0
    for name in configs():
        assert re.search(rf"^{re.escape(name)} .*[0-9]", found.stdout, re.MULTILINE), name
    assert max(map(len, found.stdout.splitlines())) <= 80


def test_numbers_without_a_unit_are_asked_for_it() -> None:
    for words in (["--memory", "10"], ["--latency", "40"]):
        found = effattn("choose", REF, "-s", "4k", *words)
        assert found.returncode == 2
        assert "has no unit" in found.stderr


def test_merge_takes_its_file_in_either_way(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    assert effattn("merge", str(first), REF).returncode == 0
    assert effattn("merge", "-o", str(second), REF).returncode == 0
    assert first.exists()
    assert second.exists()
    assert "nothing to merge" in effattn("merge", str(first), "--force").stderr


@pytest.mark.parametrize(
    "asked",
    [
        ["--latency", "100ms"],
        ["-s", "8k", "--latency", "100ms"],
        ["-s", "8k", "--latency", "100ms", "--memory", "256MiB", "--keep-weights"],
        ["-s", "8k", "--latency", "1ms"],
        ["-s", "1k..16k", "--causal", "--latency", "300ms"],
        ["-s", "32k", "--phase", "decode", "--causal", "--prefer", "memory"],
    ],
    ids=" ".join,
)
def test_an_answer_fits_a_small_screen(asked: list[str]) -> None:
    found = effattn("choose", "ref:epyc-zen5-2-threads", *asked, FORCE_COLOR="1", TERM="xterm")
    said = [*notes.filled(found.stderr.strip(), 80).splitlines(), *found.stdout.splitlines()]
    assert len(said) <= 23, "the last of 24 lines is the prompt's"
    assert "over tokens" not in found.stdout  # a chart pushes the answer off the screen
    assert "AMD EPYC" in found.stdout


def test_notes_are_not_broken_within_a_word() -> None:
    text = (
        "note: ref:epyc-zen5-2-threads: The time budget ended the sweep, 29 of 837 cells are left"
    )
    lines = notes.filled(text, 40).splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == text


def test_a_line_stays_one_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    notes.note(" ".join(["word"] * 100))
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["profile", "--varint", "x"], "hint: did you mean '--variant'?"),
        (["prfile"], "hint: did you mean 'profile'?"),
        (["show", "--metric", "latency"], None),  # nothing is like it
    ],
)
def test_a_hint_names_a_word_that_is_like_it(typed: list[str], hint: str | None) -> None:
    lines = effattn(*typed).stderr.splitlines()
    assert lines[1:] == ([hint] if hint else [])


def test_profiles_of_many_variants_name_a_few(tmp_path: Path) -> None:
    found = effattn("profiles", XDG_DATA_HOME=str(tmp_path))
    shown = " ".join(found.stdout.split())
    assert re.search(r"cells: sdpa, [a-z0-9, -]+ and \d+ more", shown)
    assert len(found.stdout.splitlines()) <= 23


def test_a_new_variant_goes_where_it_is_wanted(tmp_path: Path) -> None:
    assert effattn("new", "mine", "-o", str(tmp_path)).returncode == 0
    assert (tmp_path / "mine.py").exists()
    wrong = effattn("new", "mine", "-o", str(tmp_path / "yours.py"))
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 2)
    assert "has to be called 'mine.py'" in wrong.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_the_same_in_every_command(name: str) -> None:
    """Its letter, and what stands for its value, are the same in every command."""
    every = [other for command in COMMANDS for other in options(command) if not other.is_flag]
    for option in options(name):
        same = [other for other in every if other.opts[0] == option.opts[0]]
        assert len({(*other.opts, other.metavar) for other in same}) <= 1, option.opts
