"""Targets are found by name, and cost nothing until they are asked for."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from effattn_cli import targets
from effattn_cli.errors import UsageError


@pytest.mark.parametrize(("target", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_extra_that_is_missing_says_how_to_get_it(
    target: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as wrong:
        targets.find(target, tmp_path)
    assert str(wrong.value) == f"--on {target}: {package} is not installed"
    assert wrong.value.hint == f"pip install 'effattn[{target}]'"


def test_packages_announce_more_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_cluster.py").write_text(
        "def target(rest, folder, shards):\n    return rest, folder, shards\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = metadata.EntryPoint("mine", "my_cluster", targets.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    found: object = targets.find("mine:a:b", tmp_path, 8)
    assert found == ("a:b", tmp_path, 8)
    with pytest.raises(UsageError, match="unknown target 'mien'") as wrong:
        targets.find("mien", tmp_path)
    assert wrong.value.hint == "did you mean 'mine'?"


def test_a_sweep_goes_on_with_as_many_shards_as_it_began_with(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="runs in shards"):
        targets.find("ssh:a", tmp_path, 8)
