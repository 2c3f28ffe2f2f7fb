"""Profiles by name: paths, stems, ages and references; anything else is one line with a hint."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli import files, library, store
from effattn_cli.analysis.cost.utilisation import utilisation
from effattn_cli.cli import app
from effattn_cli.errors import UsageError
from effattn_cli.host import processor
from effattn_cli.records import Profile
from tests.builders import a_cell, a_profile, measured, pending
from tests.running import effattn

Save = Callable[..., Path]


def a_small_profile(minute: int = 0) -> Profile:
    records = (measured(a_cell("linformer"), 0.001), pending(a_cell("sdpa")))
    return a_profile(*records, created=f"2026-01-02T03:{minute:02}:05+00:00")


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    """Writes a profile into a data folder of the test's own."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setattr(files, "saved_folder", lambda *_: folder)

    def write(name: str, profile: Profile | None = None) -> Path:
        path = folder / f"{name}.yaml"
        store.Writer(path).write(profile or a_small_profile())
        return path

    return write


def refusal(name: str) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        library.find(name)
    return str(caught.value), caught.value.hint or ""


def test_a_name_a_prefix_and_a_path(save: Save, tmp_path: Path) -> None:
    first, second = save("2026-01-02-linformer"), save("2026-01-03-local")
    assert library.find("2026-01-02-linformer") == first
    assert library.find("2026-01-03") == second
    assert library.find(str(second)) == second
    assert library.read("2026-01-03") == a_small_profile()


def test_a_whole_name_wins_over_longer_ones(save: Save) -> None:
    short, _ = save("main"), save("main-2")
    assert library.find("main") == short


def test_a_file_wins_over_a_name_and_a_folder_does_not(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save("main")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main").mkdir()
    assert library.find("main") == saved
    (tmp_path / "main").rmdir()
    (tmp_path / "main").write_text("")
    assert library.find("main") == Path("main")


def test_the_newest_is_the_one_begun_last_whatever_its_name(save: Save) -> None:
    early, late = save("b", a_small_profile(1)), save("a", a_small_profile(2))
    middle = save("c", replace(a_small_profile(), created="2026-01-02T05:01:30+02:00"))
    os.utime(early)
    assert [library.find(f"@{age}") for age in (1, 2, 3)] == [late, middle, early]


def test_a_broken_file_is_never_the_newest(save: Save) -> None:
    whole = save("whole")
    for name, text in {"x": "x: 1", "y": "created: never\n", "z": "\x00"}.items():
        whole.with_name(f"{name}.yaml").write_text(text)
    assert library.newest() == {"whole": whole}


@pytest.mark.parametrize("name", ["@0", "@3", "@", "@one", "@-1", "@1.5", "@" + "9" * 5000, "@²"])
def test_an_age_that_is_none(save: Save, name: str) -> None:
    save("a")
    save("b")
    message, hint = refusal(name)
    assert message.endswith(": @1 is the newest, @2 the oldest")
    assert "effattn profiles" in hint
    assert len(message) < 120


def test_nothing_is_saved_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "saved_folder", lambda *_: tmp_path / "not" / "there")
    assert library.saved() == {}
    assert "none is saved yet" in refusal("@1")[0]


def test_several_that_begin_so_are_named(save: Save) -> None:
    for day in range(1, 6):
        save(f"2026-01-0{day}-local")
    message, hint = refusal("2026-01")
    assert message == "5 profiles begin with '2026-01'"
    assert hint == "they are 2026-01-01-local, 2026-01-02-local, 2026-01-03-local and others"


@pytest.mark.parametrize("name", ["linformr", "2026-01-02-linfromer", "no/linformer.yaml", "linf"])
def test_the_nearest_name_is_the_hint(save: Save, name: str) -> None:
    save("2026-01-02-linformer")
    save("2026-02-02-local")
    message, hint = refusal(name)
    assert repr(name) in message
    assert hint == "did you mean '2026-01-02-linformer'?"


def test_the_reference_profiles_are_found_and_whole() -> None:
    known = library.references()
    assert known
    for name, path in known.items():
        assert library.find(name) == path
        assert library.read(name).finished
    assert refusal("ref:epyz-zen5")[1] == "did you mean 'ref:epyc-zen5-2-threads'?"


def test_no_cell_of_a_reference_is_faster_than_its_roofline() -> None:
    """More than all that the machine can do means that something was counted that is not done."""
    for name in library.references():
        profile = library.read(name)
        reached = [(r, utilisation(r, profile.rooflines)) for r in profile.records]
        beyond = [(r.cell.label, r.cell.setting.phase, r.cell.seq, found.fraction)
                  for r, found in reached if found and found.fraction > 1]  # fmt: skip
        assert reached
        assert beyond == []


def test_in_a_wheel_the_references_are_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package" / "profiles").mkdir(parents=True)
    path = tmp_path / "package" / "profiles" / "a.yaml"
    store.Writer(path).write(a_small_profile())
    monkeypatch.setattr(library, "__file__", str(tmp_path / "package" / "library.py"))
    assert library.references() == {"ref:a": path}


@given(st.text(max_size=300) | st.text("@ref:0123456789./-", max_size=20))
def test_any_text_is_a_path_or_one_line(name: str) -> None:
    try:
        library.find(name)
    except UsageError as error:
        assert len(error.args[0].splitlines()) == 1  # noqa: PT017
        assert len(error.args[0]) < 200  # noqa: PT017


def test_a_heading_is_that_of_the_whole_profile(save: Save) -> None:
    profile = a_small_profile()
    path = save("p", profile)
    quick = store.heading(path)
    assert (quick.cells, quick.variants) == (2, ("linformer", "sdpa"))
    assert (quick.machine, quick.finished) == (profile.machine, True)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text())))
    assert store.heading(path) == quick
    assert store.created(path) == quick.when


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), unique=True))
def test_a_heading_of_variants_of_any_name(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    records = [measured(replace(a_cell(), variant=name), 0.001) for name in names]
    profile = a_profile(*records)
    path = tmp_path_factory.getbasetemp() / "names.yaml"
    store.Writer(path).write(profile)
    found = store.heading(path)
    assert found.variants == tuple(store.read(path).variants)
    assert found.cells == len(names)


def test_profiles_lists_what_is_saved_and_what_is_broken(tmp_path: Path) -> None:
    folder = tmp_path / "effattn" / "profiles"
    folder.mkdir(parents=True)
    for minute in range(22):
        store.Writer(folder / f"p{minute:02}.yaml").write(a_small_profile(minute))
    (folder / "bad.yaml").write_text("\x1b[31m")
    found = effattn("profiles", XDG_DATA_HOME=str(tmp_path))
    lines = found.stdout.splitlines()
    assert lines[0] == "@1   p21"
    assert lines[1] == "     2026-01-02 03:21 UTC; a CPU, 2 cores; 2 cells: linformer, sdpa"
    assert "and 3 more: --all shows them" in lines
    assert "     ref:epyc-zen5-2-threads-linformer" in lines
    found = effattn("profiles", "--all", XDG_DATA_HOME=str(tmp_path))
    assert "!    bad" in found.stdout
    assert "\x1b" not in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80


@pytest.mark.parametrize("words", [["show"], ["crossover"], ["choose", "--latency", "1s"]])
def test_a_shipped_profile_says_whose_machine_it_is_of(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = "ref:epyc-zen5-2-threads-linformer"
    monkeypatch.setattr(processor, "model", lambda: "a CPU")
    command, *more = words
    app([command, known, *more], standalone_mode=False)
    assert capsys.readouterr().err.startswith(
        f"note: {known} was measured on another machine: AMD EPYC, 2 cores; this one is a CPU, "
    )
    monkeypatch.setattr(processor, "model", lambda: "AMD EPYC")
    monkeypatch.setattr(processor, "cores", lambda: 2)
    app([command, known, *more], standalone_mode=False)
    assert "another machine" not in capsys.readouterr().err


def test_a_shipped_profile_names_its_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    app(["show", "ref:h200-linformer"], standalone_mode=False)
    assert "16 cores, NVIDIA H200; this one is" in capsys.readouterr().err


def test_a_folder_stands_for_the_profiles_in_it(save: Save, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    for name in ("b", "a"):
        (folder / f"{name}.yaml").write_bytes(save(name).read_bytes())
    (folder / "other.yaml").write_text("seq: 1k\n")
    (folder / ".hidden.yaml").write_bytes((folder / "a.yaml").read_bytes())
    paths = [str(folder / "a.yaml"), str(folder / "b.yaml")]
    assert library.expanded(["@1", str(folder), "b"]) == ["@1", *paths, "b"]
    assert library.expanded([f"{folder}/"]) == paths


def test_a_folder_does_not_hide_a_saved_profile_unless_it_is_typed_as_a_path(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = save("main").read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "p.yaml").write_bytes(inside)
    assert library.expanded(["main"]) == ["main"]
    assert library.expanded(["main/"]) == ["main/p.yaml"]


def test_a_folder_without_a_profile_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no profile in the folder"):
        library.expanded([str(tmp_path)])
    assert library.expanded(["", "x" * 5000]) == ["", "x" * 5000]
