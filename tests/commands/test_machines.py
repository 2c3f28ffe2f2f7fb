"""Folders of profiles of several machines: which machine, and which variant on it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.records import Profile, Record
from tests.analysis.grids import grid, variants
from tests.builders import a_machine, a_profile
from tests.running import Ended, effattn

pytestmark = pytest.mark.usefixtures("no_evidence")
PRICES = ["--price", "small=$0.2/h", "--price", "big=$0.53/h"]
GPU = "NVIDIA H100 80GB HBM3"


def faster(record: Record, times: float, **axes: Any) -> Record:
    """As a machine that is so many times as fast would have measured it, in another setting."""
    runs = tuple(replace(u, samples=tuple(s / times for s in u.samples)) for u in record.runs)
    cell = replace(record.cell, setting=replace(record.cell.setting, **axes))
    return replace(record, cell=cell, runs=runs)


def a_fleet(folder: Path) -> Path:
    """Two machines, the second twice as fast as the first, and with twice as many threads."""
    folder.mkdir(exist_ok=True)
    for name, times, threads in (("small", 1.0, 2), ("big", 2.0, 4)):
        records = [faster(record, times, threads=threads) for record in grid()]
        machine = a_machine(cpu=f"the {name} CPU", cores=threads)
        save(folder / f"{name}.yaml", replace(a_profile(*records), machine=machine))
    (folder / "policy.yaml").write_text("effattn_policy: 1\n")
    return folder


def save(path: Path, profile: Profile) -> None:
    store.Writer(path).write(replace(profile, variants=variants()))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(a_fleet(tmp_path_factory.mktemp("fleet") / "fleet"))


def words(found: Ended) -> str:
    return " ".join(found.stdout.split())


def rows(found: Ended) -> list[list[str]]:
    lines = found.stdout.split("─\n")[1].split("\n\n")[0].splitlines()
    return [line.split() for line in lines]


def test_candidates_of_every_machine_compete(fleet: str) -> None:
    found = effattn("choose", fleet, "-s", "32k", "--latency", "30ms", "--trained")
    assert found.returncode == 0, found.stderr
    assert "dim 512, 8 heads, batch 1, float32, cpu\n" in found.stdout
    assert "big: the big CPU, 4 cores; 4 threads\n" in found.stdout
    assert "small: the small CPU, 2 cores; 2 threads\n" in found.stdout
    assert rows(found)[0][:3] == ["linformer", "big", "18.1"]
    assert "Use linformer on big (18.1 ms): the model is trained with it" in words(found)
    everything = effattn("choose", fleet, "-s", "32k", "--latency", "30ms", "--trained", "--all")
    assert ["linformer", "small", "36.1"] in [row[:3] for row in rows(everything)]
    assert max(map(len, everything.stdout.splitlines())) <= 80


def test_of_equals_the_faster_machine_is_taken(fleet: str) -> None:
    found = words(effattn("choose", fleet, "-s", "1k", "--latency", "1s", "--exact"))
    assert "Use sdpa on big (" in found


def test_with_prices_the_cheapest_million_tokens_comes_first(fleet: str) -> None:
    """The big machine is twice as fast and 2.65 times as dear."""
    asked = ["choose", fleet, "-s", "32k", "-v", "linformer,performer", *PRICES]
    found = effattn(*asked)
    assert found.returncode == 0, found.stderr
    assert "32k tokens, by cost" in found.stdout
    assert "small: the small CPU, 2 cores; 2 threads; $0.2/h" in found.stdout
    first, second, *_ = rows(found)
    assert (first[:2], second[:2]) == (["linformer", "small"], ["linformer", "big"])
    cost = 0.2 / 3600 * 36.1e-3 / 32768 * 1e6
    assert f"${cost:.7f}"[:9] == "$0.000061"
    assert "Use linformer on small (36.1 ms, $0.0000612 a million tokens)" in words(found)
    assert first[first.index("$0.0000612") + 1].startswith("±")
    assert max(map(len, found.stdout.splitlines())) <= 80
    by_speed = words(effattn(*asked, "--prefer", "speed"))
    assert "Use linformer on big (18.1 ms, $0.0000811 a million tokens)" in by_speed


def test_the_cost_of_decoding_is_that_of_a_token_of_each_sequence(tmp_path: Path) -> None:
    axes = {"phase": "decode", "causal": True, "batch": 4}
    records = [faster(record, 1.0, **axes) for record in grid(names=["sdpa"])]
    save(tmp_path / "one.yaml", a_profile(*records))
    asked = ["choose", str(tmp_path / "one.yaml"), "-s", "1k", "--phase", "decode", "--batch", "4"]
    found = effattn(*asked, "--price", "one=3600/h", "--json")
    assert found.returncode == 0, found.stdout
    candidate = json.loads(found.stdout)["candidates"][0]
    latency = candidate["estimates"]["latency"]
    for end in ("value", "low", "high"):
        assert candidate["cost"][end] == pytest.approx(latency[end] / 4 * 1e6)


def test_the_cost_is_of_the_median_whatever_percentile_is_limited(fleet: str) -> None:
    asked = ["choose", fleet, "-s", "32k", "-v", "linformer", *PRICES, "--json"]
    plain, limited = (
        json.loads(effattn(*asked, *more).stdout)["candidates"][0]
        for more in ([], ["--latency", "p99<=1s"])
    )
    assert plain["cost"] == limited["cost"]
    assert plain["estimates"]["latency"] != limited["estimates"]["latency"]


def test_a_slower_machine_is_not_dominated_where_it_is_cheaper(fleet: str) -> None:
    asked = ["choose", fleet, "-s", "32k", "-v", "linformer", "--json", "--prefer", "speed"]
    assert json.loads(effattn(*asked).stdout)["front"] == ["linformer on big"]
    both = json.loads(effattn(*asked, *PRICES).stdout)
    assert set(both["front"]) == {"linformer on big", "linformer on small"}
    assert [each["price"] for each in both["machines"]] == ["$0.53/h", "$0.2/h"]
    assert both["candidates"][0]["machine"] == "big"


def test_lengths_and_longest_contexts_name_the_machine(fleet: str) -> None:
    plan = effattn("choose", fleet, "-s", "16k..32k", *PRICES)
    assert "From 16k to 32k use linformer on small" in words(plan)
    longest = effattn("choose", fleet, "--latency", "10ms")
    assert "on big goes furthest" in words(longest)
    assert max(len(line) for one in (plan, longest) for line in one.stdout.splitlines()) <= 80


def test_what_was_not_measured_is_to_be_measured_in_the_setting_of_its_machine(fleet: str) -> None:
    found = words(effattn("choose", fleet, "-s", "24k", "--latency", "20ms", "--trained"))
    assert "To be sure: effattn profile -v linformer -s 24576 --threads 4" in found


def test_a_machine_without_such_cells_is_left_out(tmp_path: Path) -> None:
    folder = a_fleet(tmp_path / "fleet")
    records = [faster(record, 9.0, dtype="bfloat16", device="cuda:0") for record in grid()]
    machine = a_machine(accelerator=GPU)
    save(folder / "h100.yaml", replace(a_profile(*records), machine=machine))
    asked = ["choose", str(folder), "-s", "32k", "--latency", "30ms", "--trained"]
    found = effattn(*asked)
    assert found.returncode == 2
    said = "measured in different settings: float32 on big, bfloat16 on h100"
    assert said in found.stderr
    assert "say which: --dtype" in found.stderr
    found = effattn(*asked, "--dtype", "float32")
    assert (found.returncode, "on big" in words(found)) == (0, True)
    assert "note: h100 is left out: nothing was measured with dtype float32" in found.stderr
    priced = effattn(*asked, "--dtype", "float32", *PRICES)  # the price of h100 is not asked for
    assert (priced.returncode, "Use linformer on big" in words(priced)) == (0, True)
    found = effattn(*asked, "--dtype", "bf16")
    assert f"h100: {GPU}" in found.stdout
    assert "exact attention (sdpa on h100)" in words(found)


def test_profiles_of_one_machine_are_one_candidate_each(tmp_path: Path) -> None:
    """Shards that nobody merged, say."""
    for number in (1, 2):
        save(tmp_path / f"{number}.yaml", a_profile(*grid()[number::2]))
    found = effattn("choose", str(tmp_path), "-s", "32k", "--latency", "50ms", "--trained")
    assert "Use linformer (36.1 ms)" in words(found)
    assert " on " not in found.stdout.split("\n\n")[1]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "p.yaml")
        save(paths[-1], replace(a_profile(*grid()), machine=a_machine(cpu=f"CPU {name}")))
    found = effattn("choose", *map(str, paths), "-s", "1k", "--latency", "1s", "--exact")
    assert "sdpa on a/p" in words(found)
    assert "b/p: CPU b, 2 cores" in found.stdout


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["-s", "1k", "--price", "smal=1/h"], "unknown machine 'smal'", "did you mean 'small'?"),
        (["-s", "1k", "--price", "small=1/h"], "no price is given for big", "--price big=0.53/h"),
        (["--latency", "1s", *PRICES], "--price ranks at a length", "give --seq 32k"),
        (["-s", "1k", "--prefer", "cost"], "--prefer cost needs prices", "--price MACHINE"),
        (["--model", "llama-3-8b", "-c", "1k", *PRICES], "--price applies to one layer", ""),
        (["-s", "1k", "--latency", "1s", "--emit", "p.yaml"], "a policy is for one machine", ""),
        (
            ["--model", "llama-3-8b", "-c", "1k", "--memory", "20GiB"],
            "the profiles are of different machines",
            "",
        ),
    ],
)
def test_what_cannot_be_chosen_is_one_line(
    words: list[str], error: str, hint: str, fleet: str, tmp_path: Path
) -> None:
    found = effattn("choose", fleet, *words, cwd=tmp_path)
    assert found.returncode == 2, found.stdout
    assert error in found.stderr
    assert hint in found.stderr
    assert not list(tmp_path.iterdir())


def test_every_view_takes_a_folder(fleet: str, tmp_path: Path) -> None:
    shown = effattn("show", fleet, "-v", "linformer", "-s", "1k")
    assert [shown.stdout.count(f"{fleet}/{name}.yaml\n") for name in ("big", "small")] == [1, 1]
    table = csv.DictReader(io.StringIO(effattn("export", fleet).stdout))
    assert {row["machine"] for row in table} == {"the big CPU 4", "the small CPU 2"}
    assert effattn("export", fleet, "-f", "md").stdout.count("sdpa") > 2
    page = effattn("report", fleet, "-o", "r.html", cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    text = (tmp_path / "r.html").read_text()
    assert "the big CPU" in text
    assert "the small CPU" in text
    compared = effattn("compare", fleet)
    assert compared.returncode == 0, compared.stderr
    for line in (f"old: {fleet}/big.yaml\n", f"new: {fleet}/small.yaml\n"):
        assert line in compared.stdout
    one = effattn("compare", f"{fleet}/small.yaml", fleet)
    assert one.stdout.count(f"new: {fleet}/") == 2


@pytest.mark.parametrize("words", [["show", "--json"], ["export", "-f", "json"]])
def test_one_document_is_of_one_profile(words: list[str], fleet: str) -> None:
    found = effattn(words[0], fleet, *words[1:])
    assert found.returncode == 2
    assert "takes one profile, and these are 2" in found.stderr


def test_a_folder_is_not_the_older_side_of_another(fleet: str) -> None:
    found = effattn("compare", fleet, f"{fleet}/big.yaml")
    assert (found.returncode, "the older side takes one profile" in found.stderr) == (2, True)


def test_a_part_is_shown_of_those_profiles_that_have_it(tmp_path: Path) -> None:
    for name in ("linformer", "performer"):
        save(tmp_path / f"{name}.yaml", a_profile(*grid(names=["sdpa", name])))
    found = effattn("show", str(tmp_path), "-v", "linformer")
    assert (found.returncode, "performer.yaml" in found.stdout) == (0, False)
    wrong = effattn("show", str(tmp_path), "-v", "linfromer")
    assert (wrong.returncode, "did you mean 'linformer'?" in wrong.stderr) == (2, True)
