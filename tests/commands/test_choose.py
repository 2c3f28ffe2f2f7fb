"""`effattn choose` and `effattn crossover`, as a person types them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.host import processor
from effattn_cli.units import number
from tests.analysis.grids import grid, variants
from tests.builders import (
    a_card,
    a_cell,
    a_machine,
    a_profile,
    a_variant,
    an_evaluation,
    failed,
    measured,
)  # fmt: skip
from tests.running import Ended, effattn

SHIPPED = "ref:epyc-zen5-2-threads"


@pytest.fixture(scope="module")
def of_the_grid(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved(tmp_path_factory.mktemp("choosing") / "p.yaml"))


@pytest.fixture
def profile(of_the_grid: str, no_evidence: None) -> str:
    return of_the_grid


def saved(path: Path, **facts: Any) -> Path:
    records = [r for r in grid() if r.cell.variant != "softmax" or r.cell.seq < 16384]
    records.append(failed(a_cell("softmax", 16384), "out-of-memory", "would need 41.0 GiB"))
    found = replace(a_profile(*records), variants=variants(), **facts)
    store.Writer(path).write(found)
    return path


def words(found: Ended) -> str:
    """What was printed, however its lines were broken."""
    return " ".join(found.stdout.split())


def test_the_answer_names_the_winner_and_why_each_other_lost(profile: str) -> None:
    asked = ["choose", profile, "-s", "32k", "--latency", "100ms", "--memory", "250MiB"]
    found = effattn(*asked)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("One layer on a CPU, 2 cores")
    last = "Use linformer (36.1 ms, 159 MiB): a model must be trained with it; exact attention"
    assert f"{last} (sdpa) takes 2.04 s, 64.0 MiB; tied in quality with plugin" in words(found)
    assert "2 fit, 4 over the budget, 1 ruled out: --all" in found.stdout
    table = {line.split()[0]: line.split() for line in found.stdout.splitlines() if line}
    assert table["linformer"][5:] == ["trained", ">99", "%", "LRA", "51.4"]
    assert "performer" not in table
    found = effattn(*asked, "--all")
    rows = {line.split()[0]: line for line in found.stdout.splitlines() if line[:1].strip()}
    assert "recommended" in rows["linformer"]
    assert "fits, tied" in rows["plugin"]
    assert "needs 291 MiB," in rows["performer"]
    assert "misses 100 ms" in rows["longformer"]
    assert "at 16k out of memory: would need 41.0 GiB" in rows["softmax"]
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert "\x1b" not in found.stdout


def test_where_nothing_fits_the_nearest_relaxations_are_told(profile: str) -> None:
    found = effattn("choose", profile, "-s", "32k", "--latency", "20ms")
    assert found.returncode == 1
    end = "Keep softmax: nothing meets 20 ms; linformer comes nearest (36.1 ms)."
    assert found.stdout.splitlines()[-1] == end
    told = [line.split() for line in found.stdout.splitlines() if line.startswith("  at ")]
    shorter = next(words[1] for words in told if words[2] == "tokens")
    looser = next("".join(words[1:3]) for words in told if words[2] != "tokens")
    again = ["choose", profile, "--latency"]
    assert effattn(*again, looser, "-s", "32k").returncode == 0
    tokens = str(round(float(shorter.removesuffix("k")) * 1024))
    assert effattn(*again, "20ms", "-s", tokens).returncode == 0


def test_what_was_not_measured_is_marked_and_the_command_to_measure_it_told(profile: str) -> None:
    found = words(effattn("choose", profile, "-s", "24k", "--latency", "100ms"))
    assert "performer ~59.1 ms" in found
    assert "performer was interpolated between 16k and 32k" in found
    assert "To be sure: effattn profile -v performer -s 24576" in found
    beyond = words(effattn("choose", profile, "-s", "128k", "--latency", "1s"))
    assert "performer was predicted from 64k" in beyond


def test_where_the_weights_are_kept_the_trained_one_that_would_do_is_named(profile: str) -> None:
    asked = ["choose", profile, "-s", "32k", "--latency", "50ms", "--keep-weights"]
    found = effattn(*asked)
    assert found.returncode == 1
    nearest = "performer comes nearest (78.7 ms); linformer meets it (36.1 ms) and must be trained."
    said = f"Keep softmax: nothing that keeps a model's weights meets 50 ms; {nearest}"
    assert words(found).endswith(said)
    assert "without --keep-weights linformer fits" in found.stdout
    more = words(effattn(*asked[:5], "100ms", "--keep-weights"))
    assert "Use performer (78.7 ms): it keeps a model's weights and approximates softmax" in more
    trained = words(effattn(*asked[:5], "1s", "--trained"))
    assert "Use longformer (131 ms): the model is trained with it" in trained


def test_what_would_fit_but_not_surely_enough_is_told_with_its_chance(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    record = measured(a_cell("sdpa", 1024), [1.0, 1.1, 0.9], 4096, spread=0.1, count=8)
    store.Writer(path).write(a_profile(record))
    found = effattn("choose", str(path), "-s", "1k", "--latency", "1.01s")
    assert found.returncode == 1
    assert "Keep softmax: nothing meets 1.01 s; sdpa comes nearest (1.00 s, with a" in words(found)


def test_where_nothing_can_do_it_that_is_said(profile: str) -> None:
    asked = ["choose", profile, "-s", "1k", "--latency", "1s", "--keep-weights", "-v", "reformer"]
    kept = words(effattn(*asked))
    assert "Nothing that keeps a model's weights meets 1 s; reformer meets it (8.08 ms)" in kept
    shorter = effattn("choose", SHIPPED, "-s", "4k", "--latency", "1s", "-v", "charformer")
    assert shorter.returncode == 1
    assert words(shorter).endswith("Nothing that was measured can do this: --all says why.")
    every = words(effattn("choose", SHIPPED, "-s", "4k", "--latency", "1s", "--all"))
    assert "charformer does not take the place of attention" in every


def test_what_is_preferred_needs_no_limit(profile: str) -> None:
    fast = effattn("choose", profile, "-s", "64k", "--prefer", "speed")
    assert fast.returncode == 0, fast.stderr
    assert "Use linformer (72.1 ms)" in words(fast)
    small = words(effattn("choose", profile, "-s", "64k", "--prefer", "memory"))
    assert "Use sdpa (128 MiB): exact attention" in small
    assert "chance" not in small


def test_a_range_has_one_answer_and_the_best_at_each_length_beside_it(profile: str) -> None:
    found = words(effattn("choose", profile, "-s", "1k..32k", "--latency", "100ms"))
    assert "performer at each length, beside the best one there" in found
    assert "From 1k to 32k use performer (78.7 ms)" in found
    assert "up to 4k exact attention fits too, with the same weights" in found
    far = words(effattn("choose", profile, "-s", "1k..64k", "--latency", "50ms"))
    assert "No single variant fits from 1k to 64k: linformer goes furthest, to 32k" in far


def test_only_those_that_are_named_take_part(profile: str) -> None:
    asked = ["choose", profile, "-s", "32k", "--latency", "1s", "--json", "-v"]
    document = json.loads(effattn(*asked, "sdpa,reformer").stdout)
    assert document["recommended"] == "reformer"
    assert {each["label"] for each in document["candidates"]} == {"sdpa", "reformer"}
    wrong = effattn(*asked, "reforme")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["hint"] == "did you mean 'reformer'?"
    assert "did you mean 'reformer'?" in wrong.stderr


def test_a_plugin_is_named_and_its_claim_is_not_believed(tmp_path: Path) -> None:
    card = a_card("exact", swap="exact")
    mine = a_variant("mine", card=card, origin="plugins/mine.py", path="plugins/mine.py")
    records = [*grid([32768]), measured(a_cell("mine", 32768), 1e-3)]
    path = tmp_path / "p.yaml"
    store.Writer(path).write(replace(a_profile(*records), variants={**variants(), "mine": mine}))
    found = words(effattn("choose", str(path), "-s", "32k", "--latency", "50ms", "--keep-weights"))
    assert "its card says exact, which is not checked (effattn check mine)" in found
    assert "not effattn's own: mine (plugins/mine.py)" in found
    assert "exact?" in found


@pytest.mark.parametrize(
    "asked",
    [
        ["-s", "4k", "--latency", "p95<=40ms"],
        ["-s", "16k", "--causal", "--latency", "800ms", "--keep-weights"],
        ["-s", "16k", "--causal", "--latency", "1ms", "--keep-weights"],
        ["-s", "32k", "--phase", "decode", "--prefer", "memory"],
        ["-s", "1k..16k", "--causal", "--latency", "300ms"],
        ["-s", "4k", "--prefer", "speed"],
        ["--causal", "--latency", "50ms"],
    ],
)
def test_an_answer_fits_a_small_screen(asked: list[str]) -> None:
    found = effattn("choose", SHIPPED, *asked)
    assert len(found.stdout.splitlines()) <= 24
    assert max(map(len, found.stdout.splitlines())) <= 80


def test_without_a_length_it_is_the_longest_context(profile: str) -> None:
    found = effattn("choose", profile, "--latency", "50ms")
    assert found.returncode == 0
    assert "linformer goes furthest: ~40.5k tokens, and must be trained." in words(found)
    assert "performer goes furthest with a model's own weights: ~19.5k." in words(found)
    assert "Exact attention (sdpa)" in found.stdout


def test_json_is_one_document(profile: str) -> None:
    asked = ["choose", profile, "--latency", "p95<=100ms", "--json"]
    document = json.loads(effattn(*asked, "-s", "32k").stdout)
    assert document["recommended"] == "performer"
    assert document["needs"]["limits"][0]["quantile"] == 0.95
    best = document["candidates"][0]
    assert best["estimates"]["latency"]["basis"] == "measured"
    assert not best["certain"]  # 24 samples do not tell a 95th percentile
    low, middle, high = best["slack"]["latency"]
    assert low <= middle <= high
    plan = json.loads(effattn(*asked, "-s", "1k..4k").stdout)
    assert [each["recommended"] for each in plan["lengths"]] == ["sdpa"] * 3
    reaches = json.loads(effattn(*asked).stdout)["reaches"]
    assert reaches[0]["surely"] <= reaches[0]["longest"] <= reaches[0]["at_most"]


def test_each_number_is_explained(profile: str) -> None:
    found = effattn("choose", profile, "-s", "24k", "--latency", "1s", "--explain").stdout
    assert "95 % interval" in found
    assert "Exact attention needs no evidence on its quality" in " ".join(found.split())


def test_the_newest_profiles_of_one_machine_are_taken(tmp_path: Path, no_evidence: None) -> None:
    folder = tmp_path / "effattn" / "profiles"
    folder.mkdir(parents=True)
    asked = ["choose", "-s", "1k", "--latency", "1s"]
    found = effattn(*asked, XDG_DATA_HOME=str(tmp_path))
    assert (found.returncode, "no profile is saved yet" in found.stderr) == (2, True)
    saved(
        folder / "old.yaml", machine=a_machine(cpu="another"), created="2026-01-01T00:00:00+00:00"
    )
    saved(folder / "new.yaml")
    found = effattn(*asked, XDG_DATA_HOME=str(tmp_path))
    here = f"{processor.model()}, {number(processor.cores(), 'core')}"
    machine = a_machine()
    there = f"another machine: {machine.cpu}, {number(machine.cores, 'core')}; this one is {here}"
    assert (found.returncode, found.stderr) == (0, f"from new, measured on {there}\n")


@pytest.mark.parametrize(
    ("given", "error", "hint"),
    [
        (["-s", "1k"], "no budget given", "--latency 50ms"),
        (["--latency", "p95"], "--latency: 'p95' is not a valid limit", "p95<=50ms"),
        (["--latency", "50"], "--latency: '50' has no unit", "'50ms' or '50s'"),
        (["--memory", "2G"], "--memory: '2G' is not a valid size", "'2GiB'"),
        (["--energy", "3"], "--energy: '3' is not a valid energy", "'3J'"),
        (["--latency", "1s", "--phase", "decode"], "with phase decode, only", "--phase decode"),
        (["--latency", "1s", "--batch", "8"], "with batch 8, only with 1", "profile --batch 8"),
        (["--latency", "1s", "--confidence", "0.4"], "--confidence: 0.4 is out of range", "99%"),
        (["--latency", "1s", "--confidence", "1"], "--confidence: '1' is not a valid share", ""),
        (["--latency", "1s", "--batch", "0"], "--batch: '0' is out of range", ""),
        (["--latency", "1s", "-s", "64k..1k"], "--seq", "'1k..64k'"),
        (["--prefer", "speed"], "without a limit there is no longest context", "--seq 32k"),
        (["--keep-weights", "--trained", "--latency", "1s"], "are opposites", "one of them"),
        (["--latency", "1s", "--prefer", "sped"], "'sped'", ""),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_a_hint(
    profile: str, given: list[str], error: str, hint: str
) -> None:
    found = effattn("choose", profile, *given)
    assert found.returncode == 2
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert not hint or hint in lines[1]


def test_crossovers_of_a_profile(profile: str) -> None:
    found = effattn("crossover", profile)
    assert found.returncode == 0
    row = next(line for line in found.stdout.splitlines() if line.startswith("linformer"))
    assert "latency" in row
    assert "faster at 64k" in row
    assert "none up to 64k" in found.stdout
    document = json.loads(effattn("crossover", profile, "--json").stdout)
    times = {each["label"]: each for each in document["crossings"] if each["metric"] == "latency"}
    assert times["linformer"]["low"] < times["linformer"]["at"] < times["linformer"]["high"]
    # 20 us + 1.9 ns N^2 = 60 us + 1.1 us N
    assert times["linformer"]["at"] == pytest.approx(613, rel=0.05)


@pytest.mark.parametrize("words", [[], ["p.yaml", "--rounds", "2"]])
def test_a_crossover_is_of_a_profile_or_of_variants(words: list[str]) -> None:
    found = effattn("crossover", *words)
    assert found.returncode == 2
    says = ("name a saved profile, or a variant to measure", "--rounds starts a new measurement")
    assert found.stderr.removeprefix("error: ").startswith(says)


@pytest.mark.in_ci
def test_a_crossover_is_measured_where_it_matters(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    asked = ["crossover", "-v", "linformer:rank=16", "-s", "64..512", "--dim", "64", "--heads", "2"]
    found = effattn(*asked, "--rounds", "2", "--time-budget", "20s", "-q", "-o", str(path))
    assert found.returncode == 0, found.stderr
    records = store.read(path).records
    assert {record.cell.label for record in records} == {"linformer:rank=16", "sdpa"}
    assert all(record.status == "measured" for record in records)
    assert "linformer" in found.stdout  # folded where the interval needs the room


def test_charts_are_drawn_when_asked_for_and_need_no_colour(profile: str) -> None:
    plain = effattn("show", profile).stdout
    drawn = effattn("show", profile, "--chart").stdout
    assert drawn.startswith(plain)
    picture = drawn.removeprefix(plain)
    assert "latency over tokens" in picture
    assert "A sdpa" in picture
    assert "linformer beats sdpa" in picture
    assert max(map(len, picture.splitlines())) <= 80
    choice = effattn("choose", profile, "-s", "32k", "--latency", "50ms", "--chart").stdout
    assert "─ the limit, 50.0 ms" in choice


def test_an_answer_from_a_profile_loads_neither_torch_nor_numpy_nor_plotext(profile: str) -> None:
    evidence = profile.replace("p.yaml", "e.yaml")
    store.Writer(Path(evidence)).write(an_evaluation(finished=True))
    words = ["choose", profile, "-s", "24k", "--latency", "1s", "--evidence", evidence]
    code = (
        f"import sys, effattn_cli.cli as cli\nsys.argv = ['effattn', *{words!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('torch', 'numpy', 'plotext') if n in sys.modules], file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [["--latency", "50ms"], ["--memory", "1GiB"], ["--energy", "5J"], ["--latency", "p95<=50ms"],
     ["--phase", "decode", "--latency", "1ms"], ["--phase", "train", "--memory", "1GiB"],
     ["--scope", "block", "--latency", "1s"], ["--causal", "--latency", "50ms"],
     ["--padding", "10%", "--exact", "--latency", "50ms"]],
)  # fmt: skip
def test_the_longest_context_is_known_of_the_shipped_profile(words: list[str]) -> None:
    found = effattn("choose", SHIPPED, *words)
    assert found.returncode in {0, 1}, found.stderr
    assert "the longest context within" in found.stdout
    assert "error" not in found.stderr


def test_a_feed_forward_is_no_attention() -> None:
    found = effattn("choose", SHIPPED, "--latency", "50ms", "-s", "1k").stdout
    assert "sdpa" in found
    assert "gshard" not in found


def test_what_is_not_known_is_not_said_to_be_too_much() -> None:
    found = effattn("choose", SHIPPED, "--energy", "5J")
    assert "No variant has a measured energy, so none can be recommended: energy is read" in words(
        found
    )
    one = words(effattn("choose", SHIPPED, "--energy", "5J", "-s", "4k"))
    assert "No variant has an energy measurement, so none can be recommended: energy is read" in one
    far = effattn("choose", SHIPPED, "--latency", "1s", "-s", "4M")
    assert "Nothing is known to fit 1 s at 4M tokens." in far.stdout
    assert "To find out: effattn profile -v" in far.stdout
    assert "-s 4194304" in far.stdout


def test_the_answer_in_the_readme_is_what_is_printed() -> None:
    block = Path("README.md").read_text().split("<!-- choose -->\n```\n")[1].split("```")[0]
    asked, *lines = block.splitlines()
    found = effattn(*asked.removeprefix("$ effattn ").split())
    assert [line.rstrip() for line in found.stdout.splitlines()] == lines


def test_a_policy_replaces_nothing_unless_it_is_told_to(tmp_path: Path, profile: str) -> None:
    before = Path(profile).read_bytes()
    refused = effattn("choose", profile, "--latency", "1s", "--emit", profile)
    assert refused.returncode == 2
    assert "already exists" in refused.stderr
    assert Path(profile).read_bytes() == before
    path = tmp_path / "policy.yaml"
    path.write_text("mine")
    assert effattn("choose", profile, "--latency", "1s", "--emit", str(path)).returncode == 2
    forced = effattn("choose", profile, "--latency", "1s", "--emit", str(path), "--force")
    assert forced.returncode == 0
    assert "effattn_policy" in path.read_text()


def test_a_plan_names_what_would_do_where_nothing_fits(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    words = ["-s", "1k,2k", "--latency", "1us", "--emit", str(path)]
    found = effattn("choose", SHIPPED, *words)
    assert found.returncode == 1
    assert found.stdout.count("nothing fits; at ") == 2
    assert not path.exists()
    some = effattn("choose", SHIPPED, "-s", "1k,16k", "--latency", "300us", "--emit", str(path))
    assert "nothing fits at" in some.stderr


def test_dtypes_and_shares_are_written_as_in_a_sweep(profile: str) -> None:
    asked = ["choose", profile, "-s", "1k", "--latency", "1s", "--confidence"]
    assert effattn(*asked, "95%", "--dtype", "fp32").stdout == effattn(*asked, "0.95").stdout


def test_a_measurement_beside_other_load_keeps_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    busy = measured(a_cell("sdpa", 1024), 1e-3, background_load=1.5)
    store.Writer(path).write(a_profile(busy, measured(a_cell("local", 1024), 2e-3)))
    found = effattn("choose", str(path), "-s", "1k", "--latency", "1s").stdout
    assert "!1.00 ms" in found
    assert "Other processes kept the machine busy" in found
    assert "To be sure: effattn profile -v sdpa -s 1024" in " ".join(found.split())
    head, first, second = effattn("export", str(path)).stdout.splitlines()
    at = head.split(",").index("background_load")
    assert (first.split(",")[at], second.split(",")[at]) == ("1.5", "")


def test_an_export_replaces_nothing_unless_it_is_told_to(profile: str, tmp_path: Path) -> None:
    before = Path(profile).read_bytes()
    assert effattn("export", profile, "-o", profile).returncode == 2
    assert Path(profile).read_bytes() == before
    out = str(tmp_path / "x.csv")
    assert [effattn("export", profile, "-o", out).returncode for _ in range(2)] == [0, 2]
    assert effattn("export", profile, "-o", out, "--force").returncode == 0


def test_nothing_but_the_baseline_crosses_nothing(tmp_path: Path) -> None:
    found = effattn("crossover", "-v", "sdpa", "-s", "256", XDG_DATA_HOME=str(tmp_path))
    assert found.returncode == 2
    assert "nothing but the baseline 'sdpa' is named" in found.stderr
