"""Completion as bash asks for it, with the script that `--install-completion` writes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from effattn_cli.commands import bash_completion, completion
from effattn_cli.commands.options import evaluation, sweep
from tests.running import effattn

#: How readline cuts a line into words: a `:` or `=` is one.
WORDS = re.compile(r"[:=]+|[^\s:=]+")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the command under its name, which the script calls."""
    folder = tmp_path_factory.mktemp("programs")
    script = folder / "effattn"
    script.write_text(f"#!{sys.executable}\nfrom effattn_cli.cli import main\nmain()\n")
    script.chmod(0o755)
    return folder


def completed(line: str, programs: Path) -> list[str]:
    """What bash offers at the end of the line."""
    bash = shutil.which("bash")
    assert bash is not None
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    words = [*WORDS.findall(line), *([""] if line.endswith(" ") else [])]
    asked = (
        'eval "$(_EFFATTN_COMPLETE=source_bash effattn)"; COMP_CWORD=$(( $# - 1 ));'
        ' COMP_WORDS=( "$@" ); _effattn_completion effattn; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    found = subprocess.run(
        [bash, "--norc", "-c", asked, "bash", *words],
        env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("effattn pro", ["profile", "profiles"]),
        ("effattn profile -v linformer:", ["rank=", "sharing="]),
        ("effattn profile -v sdpa,linformer:rank=64,shar", [
            "64,sharing=headwise", "64,sharing=key-value", "64,sharing=none",
        ]),
        ("effattn profile --phase ", ["decode", "forward", "train"]),
        ("effattn profile --phase=t", ["train"]),
        ("effattn show ref:e", ["epyc-zen5-2-threads", "epyc-zen5-2-threads-linformer"]),
        ("effattn show ref:epyc-zen5-2-threads-l", ["epyc-zen5-2-threads-linformer"]),
        ("effattn new mine -o my", []),  # nothing: bash completes files
        ("effattn profile --config swe", []),
    ],
)  # fmt: skip
def test_bash_offers_what_can_stand_there(line: str, offered: list[str], programs: Path) -> None:
    assert sorted(completed(line, programs)) == offered


def test_words_that_bash_cut_are_put_together() -> None:
    cut = ["effattn", "-v", "linformer", ":", "rank", "=", "64", "-s"]
    assert bash_completion.joined(cut) == ["effattn", "-v", "linformer:rank=64", "-s"]
    assert bash_completion.joined(["show", "ref", ":"]) == ["show", "ref:"]
    assert bash_completion.joined(["show", "ref", ":", ""]) == ["show", "ref:"]
    assert bash_completion.joined(["show", ""]) == ["show", ""]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("linformer:ra", ["linformer:rank=256", "linformer:rank=512"]),
        ("sdpa,linformer:", ["sdpa,linformer:rank=", "sdpa,linformer:sharing="]),
        ("linformer:rank=64,sha", ["linformer:rank=64,sharing=none"]),
        ("linformer:sharing=n", ["linformer:sharing=none"]),
        ("family:low", ["family:low-rank"]),
        ("nobody:", []),
    ],
)
def test_options_of_variants_are_completed(typed: str, found: list[str]) -> None:
    assert [word for word in completion.variant_names(typed) if word in found] == found
    assert bool(list(completion.variant_names(typed))) == bool(found)


def test_words_of_axes_families_and_tasks_are_completed() -> None:
    options = (*evaluation(), *sweep())
    by_name = {option.name: option.annotation.__metadata__[0] for option in options}
    assert by_name["phase"].autocompletion("t") == ["train"]
    assert by_name["dtype"].autocompletion("float32,b") == ["float32,bfloat16"]
    assert by_name["engine"].autocompletion("c") == ["compile"]
    assert by_name["family"].autocompletion("low") == ["low-rank"]
    assert by_name["task"].autocompletion("fid") == ["fidelity"]
    assert by_name["regime"].autocompletion("local,cap") == ["local,captured"]
    assert by_name["dim"].autocompletion is None


def test_saved_profiles_are_completed_by_name_and_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert completion.profile_names("@") == []
    saved = tmp_path / "effattn" / "profiles"
    saved.mkdir(parents=True)
    made = effattn("merge", "-o", str(saved / "mine.yaml"), "ref:epyc-zen5-2-threads-linformer")
    assert made.returncode == 0
    assert completion.profile_names("mi") == ["mine"]
    assert completion.profile_names("@") == ["@1"]


@pytest.mark.parametrize("line", ["effattn profile -v nobody:", "effattn show nobody"])
def test_nothing_is_offered_where_nothing_is_known(line: str, programs: Path) -> None:
    assert completed(line, programs) == []
