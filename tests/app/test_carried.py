"""What goes along to another machine."""

from pathlib import Path

import pytest

from effattn_cli.app import carried as module
from effattn_cli.app.carried import CONFIG, PROFILE, Carried, carried
from effattn_cli.errors import UsageError
from effattn_cli.plan import config_file


def sent(sweep: Carried, folder: Path) -> dict[str, object]:
    """The options as they are read there."""
    path = folder / CONFIG
    path.write_bytes(sweep.files[CONFIG])
    return config_file.from_file(path)


def test_options_arrive_as_they_were(tmp_path: Path) -> None:
    options = {"variant": ("linformer:rank=16", "sdpa"), "seq": "64..256", "causal": "yes,no"}
    sweep = carried(options | {"rounds": 2, "precise": True}, None)
    assert sent(sweep, tmp_path) == options | {"rounds": 2, "precise": True}
    assert list(sweep.files) == [CONFIG]


def test_files_go_along_under_the_names_that_the_options_have_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/mixer.py", "folder/one.py", "folder/deep/two.py", "folder/notes.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    Path("llama").mkdir()
    Path("llama/config.json").write_text("{}")
    plugins = ("a/mixer.py:Mixer", str(tmp_path / "folder"), "package.module:Class")
    sweep = carried({"plugin": plugins, "model": "llama", "like": "llama-3-8b"}, None)
    options = sent(sweep, tmp_path)
    place = f"taken-{len(['llama', 'mixer'])}/folder"
    assert options["plugin"] == ("a/mixer.py:Mixer", place, "package.module:Class")
    assert (options["model"], options["like"]) == ("llama/config.json", "llama-3-8b")
    assert sweep.files["a/mixer.py"] == b"a/mixer.py"
    assert sweep.files["llama/config.json"] == b"{}"
    assert sweep.files[f"{place}/deep/two.py"] == b"folder/deep/two.py"
    assert not any("notes" in name for name in sweep.files)


def test_a_sweep_is_begun_or_gone_on_with() -> None:
    sweep = Carried(files={CONFIG: b"seq: 64\n"}, plugins=("a.py",), shards=8)
    first = sweep.errand(2, None)
    assert first.words == ("profile", "--config", CONFIG, "-o", PROFILE, "--shard", "2/8")
    again = sweep.errand(2, b"what there is")
    assert again.words == ("profile", "--resume", f"./{PROFILE}", "--plugin", "a.py")
    assert again.files[PROFILE] == b"what there is"


def test_it_is_kept_for_a_sweep_that_goes_on(tmp_path: Path) -> None:
    sweep = Carried(files={CONFIG: bytes(range(256))}, plugins=(), shards=None)
    sweep.save(tmp_path / "s")
    assert Carried.saved(tmp_path / "s") == sweep
    (tmp_path / "s").write_text("{}")
    with pytest.raises(UsageError, match="cannot read"):
        Carried.saved(tmp_path / "s")


def test_a_file_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 1 << 20)
    (tmp_path / "config.json").write_bytes(bytes(3 << 20))
    with pytest.raises(UsageError, match="too large to be sent: 3 MiB"):
        carried({"model": str(tmp_path)}, None)
