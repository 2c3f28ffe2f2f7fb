"""Shards of a real sweep, measured in turn, and joined."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.records import Profile
from tests import rounds
from tests.builders import a_machine
from tests.running import effattn

OF = 8
SHAPE = "--dim 64 --heads 2 --threads 1 --precision 0.5 --rounds 1".split()
SWEEP = ["profile", "-v", "linformer:rank=16", "-s", "64,128,192,256", "--quiet", *SHAPE]
CELLS = 8
LEFT = 4  # shards for which nothing but the sentinel is left


pytestmark = pytest.mark.xdist_group("shards")  # in one worker: the sweep behind is made once


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all shards, each as a command of its own had written it."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(1, OF + 1):
        out = str(folder / f"{number}.yaml")
        found = effattn(*SWEEP, "--shard", f"{number}/{OF}", "-o", out, "--json")
        assert found.returncode == 0, found.stderr
        shard = json.loads(found.stdout)["shard"]
        assert (shard["number"], shard["of"], shard["cells"]) == (number, OF, CELLS)
        said = f"note: shard {number}/{OF}: the sweep has 4 blocks, so only the sentinel is left"
        assert (said in found.stderr) == (number > OF - LEFT)
    return folder


def read(folder: Path) -> list[Profile]:
    return [store.read(path) for path in sorted(folder.glob("*.yaml"))]


@pytest.mark.in_ci
def test_the_shards_give_the_cells_of_the_sweep_none_twice_none_missing(
    shards: Path, tmp_path: Path
) -> None:
    out = tmp_path / "all.yaml"
    found = effattn("merge", "-o", str(out), f"{shards}/", "--ignore-sentinel")
    assert found.returncode == 0, found.stderr
    assert "missing" not in found.stderr
    merged, plan = store.read(out), effattn(*SWEEP, "--dry-run", "--json")
    planned = {(each["label"], each["cell"]["seq"]) for each in json.loads(plan.stdout)["cells"]}
    counts = Counter((record.cell.label, record.cell.seq) for record in merged.records)
    assert counts == Counter(planned)
    assert all(len(record.runs) == 1 and record.memory for record in merged.records)
    assert (merged.finished, merged.baseline, merged.shard) == (True, "sdpa", None)
    taken = {run for profile in read(shards) for record in profile.records for run in record.runs}
    assert {run for record in merged.records for run in record.runs} <= taken


def test_only_a_shard_says_that_it_is_one(shards: Path, tmp_path: Path) -> None:
    """So that an earlier effattn reads all others."""
    out = tmp_path / "all.yaml"
    effattn("merge", "-o", str(out), f"{shards}/", "--ignore-sentinel")
    assert "\nshard:" not in out.read_text()
    assert "\nshard:" in (shards / "1.yaml").read_text()


def test_each_shard_measures_the_sentinel(shards: Path) -> None:
    for profile in read(shards):
        assert profile.shard is not None
        labels = [(record.cell.label, record.cell.seq) for record in profile.records]
        assert ("sdpa", 256) in labels
        own = [record for record in profile.records if record.cell != profile.shard.sentinel]
        beside_its_block = 2 if profile.shard.borrowed else 1
        assert len(own) == (0 if profile.shard.number > OF - LEFT else beside_its_block)


def test_what_is_missing_is_told(shards: Path, tmp_path: Path) -> None:
    some = [str(shards / f"{number}.yaml") for number in (1, 2, 4, 5, 6, 7)]
    found = effattn("merge", str(tmp_path / "a.yaml"), *some, "--ignore-sentinel")
    assert "note: shards 3, 8 of 8 are missing" in found.stderr


def slower(path: Path, times: float) -> None:
    """The shard as a machine that takes so many times as long would have measured it."""
    profile = store.read(path)
    records = tuple(
        replace(
            r, runs=tuple(replace(u, samples=tuple(times * s for s in u.samples)) for u in r.runs)
        )
        for r in profile.records
    )
    store.Writer(path).write(replace(profile, records=records))


def test_shards_of_machines_that_are_not_equally_fast_are_not_joined(
    shards: Path, tmp_path: Path
) -> None:
    one, two, out = tmp_path / "one.yaml", tmp_path / "two.yaml", tmp_path / "all.yaml"
    one.write_bytes((shards / "1.yaml").read_bytes())
    two.write_bytes((shards / "1.yaml").read_bytes())
    slower(two, 3.0)
    found = effattn("merge", str(out), str(one), str(two))
    assert (found.returncode, out.exists()) == (2, False)
    said = r"error: cannot merge: the sentinel \(sdpa at 256\) took .+ in .+one.yaml, .+ in .+"
    assert re.search(said + "two.yaml: the machines were not equally fast", found.stderr)
    assert "--ignore-sentinel" in found.stderr
    found = effattn("merge", str(out), str(one), str(two), "--ignore-sentinel")
    assert (found.returncode, "note: the sentinel" in found.stderr) == (0, True)
    [marked] = {warning for record in store.read(out).records for warning in record.warnings}
    assert marked == f"the sentinel took 3 times as long there as in {one}"


def test_shards_of_several_machines_become_a_profile_of_each_in_one_folder(
    shards: Path, tmp_path: Path
) -> None:
    first, second = store.read(shards / "1.yaml"), store.read(shards / "2.yaml")
    other = tmp_path / "other.yaml"
    machine = a_machine(cpu="Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz", cores=4)
    store.Writer(other).write(replace(second, machine=machine))
    slower(other, 3.0)  # which is no wonder on another machine
    asked = [str(shards / "1.yaml"), str(other)]
    found = effattn("merge", str(tmp_path / "all.yaml"), *asked)
    assert found.returncode == 2
    assert "cannot merge the profiles 1 and 2: cpu: " in found.stderr
    assert "-o FOLDER/ writes one of each machine" in found.stderr
    assert not (tmp_path / "all.yaml").exists()
    found = effattn("merge", "-o", f"{tmp_path}/fleet/", *asked, "--json")
    assert found.returncode == 0, found.stderr
    written = json.loads(found.stdout)
    assert (written["what"], written["counts"]["profiles"]) == ("profiles", 2)
    names = {path.name for path in (tmp_path / "fleet").glob("*.yaml")}
    assert names == {f"{first.machine.name}.yaml", "xeon-platinum-8488c-4-cores.yaml"}
    again = effattn("merge", "-o", f"{tmp_path}/fleet/", *asked)
    assert (again.returncode, "already exists" in again.stderr) == (2, True)


def test_a_shard_goes_on_and_is_repeated_as_what_it_is(shards: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes((shards / "2.yaml").read_bytes())
    before = store.read(path)
    wrong = effattn("profile", "--resume", str(path), "--shard", "3/8")
    assert wrong.returncode == 2
    assert "--shard 3/8: the profile holds the shard 2/8" in wrong.stderr
    more = ["--shard", "2/8", "--rounds", "2", "--quiet"]
    found = effattn("profile", "--resume", str(path), *more)
    assert found.returncode == 0, found.stderr
    after = store.read(path)
    assert after.shard == before.shard
    for old, new in zip(before.records, after.records, strict=True):
        assert rounds.kept(old.runs, new.runs)
        assert len(new.runs) == 2
    anew = tmp_path / "again.yaml"
    asked = ["profile", "--again", str(shards / "8.yaml"), "-o", str(anew), "--quiet"]
    assert effattn(*asked).returncode == 0
    assert store.read(anew).shard == store.read(shards / "8.yaml").shard


def test_a_saved_sweep_is_repeated_in_shards(shards: Path, tmp_path: Path) -> None:
    whole = tmp_path / "all.yaml"
    effattn("merge", "-o", str(whole), f"{shards}/", "--ignore-sentinel")
    asked = ["profile", "--again", str(whole), "--shard", "2/8", "--dry-run", "--json"]
    found = json.loads(effattn(*asked).stdout)
    shard = store.read(shards / "2.yaml")
    assert {(each["label"], each["cell"]["seq"]) for each in found["cells"]} == {
        (record.cell.label, record.cell.seq) for record in shard.records
    }
    wrong = effattn("profile", "--resume", str(whole), "--shard", "2/8")
    assert "--shard 2/8: the profile holds a whole sweep" in wrong.stderr


def test_the_plan_says_which_shard_it_is() -> None:
    found = effattn(*SWEEP, "--shard", "2/8", "--dry-run")
    assert found.returncode == 0, found.stderr
    said = "Shard 2/8 of a sweep of 8 cells; sentinel, in every shard: sdpa at 256."
    assert said in found.stdout


def test_what_is_no_shard_is_said_before_anything_is_measured() -> None:
    found = effattn(*SWEEP, "--shard", "9/8")
    assert (found.returncode, "there is no part 9 of 8" in found.stderr) == (2, True)
