"""Profiles and configs from strangers: read within limits, or refused in one line; never run."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile
from tests.builders import a_cell, a_profile, a_variant, failed, measured, pending, predicted
from tests.running import effattn
from tests.yardstick import yardstick

ESCAPE = "\x1b[31m\x07\u202e"


def as_text(profile: Profile) -> str:
    return store.as_yaml(profile)


MIXED = as_text(
    a_profile(
        measured(a_cell("linformer:rank=64", 1024), [0.001]),
        predicted(a_cell("sdpa", 65536), 62.1),
        failed(a_cell("sdpa", 2048), "crashed", "signal 11"),
    )
)
EDITED = yaml.safe_dump(yaml.safe_load(MIXED))
HEAD, RECORD = (
    MIXED.split("records:\n")[0] + "records:\n",
    '- cell: {"variant": "sdpa", "seq": %d}\n',
)


def refusal(text: str | bytes) -> str:
    """The one line that refuses it."""
    with pytest.raises(UsageError) as caught:
        store.parse(text.encode() if isinstance(text, str) else text, "p.yaml")
    message = str(caught.value)
    assert message.startswith("p.yaml: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    return message.removeprefix("p.yaml: ")


STOPPED = '"stopped": "steady"'  # the last that is said of a run


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seq": 65536', '"seq": "abc"', "records[1].cell.seq: expected a whole number, got 'abc'"),
        ('"seq": 65536', '"seq": 0', "records[1].cell.seq: expected 1 or more, got 0"),
        ('"seq": 65536', '"seq": true', "records[1].cell.seq: expected a whole number, got True"),
        ('"seq": 65536', '"seq": 9223372036854775808', "seq: a number of more than 63 bits"),
        ('"seq": 65536', f'"seq": {"9" * 5000}', "records[1]: not JSON: "),
        ('"seq": 65536, ', "", "records[1].cell: 'seq' is missing"),
        ('"padding": 0.0', '"padding": 1', ".padding: expected 0 or more and below 1, got 1"),
        ('"seconds": 62.1', '"seconds": [1]', "prediction.seconds: expected a number, got"),
        ("0.00099,", "NaN,", "records[0]: not JSON: "),
        ("0.00099,", "1e999,", "records[0]: not JSON: Number out of range"),
        ("0.00099,", "-1,", "records[0].runs[0].samples[0]: expected a number above 0, got -1"),
        ("0.00099,", "0.0,", "records[0].runs[0].samples[0]: expected a number above 0, got 0.0"),
        ("0.00099,", "1e300,", "samples[0]: expected a number above 0, at most 1e+20, got 1e+300"),
        ('"warmup": 3', '"warm": 3', "records[0].runs[0]: unknown key 'warm'"),
        ('"peak_bytes": 4194304,', '"peak_bytes": -1,', "peak_bytes: expected 0 or more, got -1"),
        ('"crashed"', '"tired"', "records[2].failure.reason: expected 'bad-answer' or"),
        ('"variant": "sdpa"', '"variant": "x"', "cell.variant: there is no such variant"),
        ('"seq": 65536', '"seq": 2048', "records[2].cell: the same as records[1].cell"),
        ("effattn_profile: 2", "effattn_profile: 9", "version '9'; this effattn reads up to 2"),
        ("effattn_profile: 2", "other: 2", "not an effattn profile (no key 'effattn_profile')"),
        (STOPPED, STOPPED + ', "gpu": {"sm_mhz": 1.5, "celsius": 1, "throttle_reasons": []}',
         "runs[0].gpu.sm_mhz: expected a whole number, got 1.5"),
        (STOPPED, STOPPED + ', "gpu": {"sm_mhz": 1, "celsius": 1, "throttle_reasons": ["tired"]}',
         "runs[0].gpu.throttle_reasons[0]: expected 'clocks set' or"),
        (STOPPED, STOPPED + ', "launch": -1', "runs[0].launch: expected a number above 0, got -1"),
        ('"cache": "warm"', '"cache": "hot"', ".cache: expected 'cold' or 'warm', got 'hot'"),
        ("allowed_cores: null", "allowed_cores: 0", "machine.allowed_cores: expected a number abo"),
        ("machine:", "machine: [", "not YAML"),
        ("cores: 2", "cores: 2\n  cores: 2", "the key 'cores' is given twice"),
        ("cores: 2", "cores: .inf", "machine.cores: expected a finite number, got inf"),
        ("cores: 2", "cores: 0x" + "f" * 30_000, "machine.cores: a number of more than 63 bits"),
        ("load: 0.1", f"load: 1{':59' * 400}.0", "not YAML: int too large to convert to float"),
        ("load: 0.1", "load: .nan", "machine.load: expected a finite number, got nan"),
        ("name: sdpa", "name: other", "variants['sdpa'].name: expected 'sdpa'"),
        ("baseline: sdpa", "baseline: &a sdpa", "aliases, anchors and tags are not allowed"),
        ("baseline: sdpa", "baseline: !!binary c2RwYQ==", "aliases, anchors and tags are not"),
        ("baseline: sdpa", "baseline: 2001-12-14", "baseline: expected nothing or text, got"),
        ("baseline: sdpa", f"baseline: {'a' * 70_000}", "text of more than 65,536 letters"),
        ("baseline: sdpa", f"baseline: {'[' * 20}{']' * 20}", "nest more than 10 deep"),
        ("baseline: sdpa", "baselin: sdpa", "unknown key 'baselin'"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    assert old in MIXED
    assert message in refusal(MIXED.replace(old, new, 1))


def test_the_nearest_key_is_the_hint() -> None:
    with pytest.raises(UsageError) as caught:
        store.parse(MIXED.replace('"samples"', '"sampels"').encode())
    assert caught.value.hint == "did you mean 'samples'?"


def test_a_sample_too_large_for_a_float_has_its_place() -> None:
    long = refusal(re.sub(r"samples:\n( *)- ", rf"samples:\n\1- 9{':59' * 400}\n\1- ", EDITED))
    assert long.startswith("records[0].runs[0].samples[0]: a number of more than 63 bits")


def test_a_bad_value_in_an_edited_file_has_its_place_too() -> None:
    message = refusal(EDITED.replace("seq: 65536", "seq: abc"))
    assert message == "records[1].cell.seq: expected a whole number, got 'abc'"


BOMB = "effattn_profile: 2\na: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n"
    for before, name in zip("abcdefghijklmnopqrstuvwxy", "bcdefghijklmnopqrstuvwxyz", strict=True)
)
RUN = '{"warmup": 1, "first_seconds": 1, "stopped": "", "samples": [%s1]}'
HOSTILE = {
    "bomb": BOMB,
    "deep flow": "effattn_profile: " + "[" * 200_000,
    "deep mappings": "effattn_profile: " + "{a: " * 60_000,
    "deep blocks": "\n".join(" " * depth + "a:" for depth in range(700)),
    "deep JSON": HEAD + RECORD % 1 + "  runs: " + "[" * 900_000,
    "wide YAML": "effattn_profile: 2\nx: [" + "[]," * 87_000 + "]\n",
    "base 60": "effattn_profile: 2\nx: 1" + ":59" * 20_000 + "\n",
    "many samples": HEAD + "".join(
        f"{RECORD % seq}  runs:\n  - {RUN % ('1,' * 190_000)}\n" for seq in range(1, 21)
    ),
    "many runs": HEAD + "".join(
        f"{RECORD % seq}  runs:\n" + f"  - {RUN % ''}\n" * 13_000 for seq in range(1, 11)
    ),
    "many runs of version 1": HEAD.replace("_profile: 2", "_profile: 1") + "".join(
        f"{RECORD % seq}  rounds:\n" + f"  - {RUN % ''}\n" * 13_000 for seq in range(1, 11)
    ),
    "many records": HEAD + "".join(RECORD % seq for seq in range(1, 100_000)),
    "many options": HEAD + '- cell: {"options": {' + '"a": 1, ' * 2_000_000,
    "large": HEAD + " " * (33 << 20),
    "long text": HEAD + '- cell: {"variant": "' + "a" * 1_000_000 + '"}\n',
    "commas": HEAD + RECORD % 1 + "," * 3_999_000,
    "nothing": "",
    "zeros": "\0" * 100_000,
}  # fmt: skip

LARGEST = {
    "many samples",
    "many runs",
    "many runs of version 1",
}  # as large as a file may be: they are read

TIMED = """
import re, sys, time
from pathlib import Path
from effattn_cli import store
from effattn_cli.errors import UsageError
from tests.yardstick import yardstick
unit = yardstick()
started = time.process_time()
try:
    store.read(Path(sys.argv[1]))
except UsageError as error:
    print(error)
seconds = (time.process_time() - started) / unit
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())
print(seconds, int(peak[1]) / 1024)
"""


@pytest.mark.in_ci
@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_takes_long_or_much(tmp_path: Path, name: str) -> None:
    (tmp_path / "p.yaml").write_text(HOSTILE[name])
    words = [sys.executable, "-c", TIMED, str(tmp_path / "p.yaml")]
    found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    *message, figures = found.stdout.splitlines()
    units, mib = map(float, figures.split())
    assert len(message) == (0 if name in LARGEST else 1)
    assert units < (15 if name in LARGEST else 5)  # of 0.07 s on a fast machine: 1 s, and 0.3 s
    assert mib < 200


@pytest.mark.parametrize("number", ["0x" + "f" * 20_000, "9" * 5_000, "9" * 30, "-" + "9" * 30])
@pytest.mark.parametrize("place", ["year: 2020", '"rank": 64'])
def test_a_number_that_json_does_not_hold_is_refused(place: str, number: str) -> None:
    record = measured(a_cell("linformer:rank=64"), 1e-3)
    text = as_text(a_profile(record))
    assert place in text
    name = place.partition(":")[0]
    refusal(text.replace(place, f"{name}: {number}"))


def test_a_large_profile_is_read_at_once() -> None:
    records = [measured(a_cell("linformer:rank=64", seq), 1e-3, count=30) for seq in range(1, 2001)]
    data = as_text(a_profile(*records)).encode()
    unit, started = yardstick(), time.process_time()
    assert len(store.parse(data).records) == 2000
    assert time.process_time() - started < 15 * unit  # 4 in a process of its own


def test_a_hostile_name_moves_no_cursor(tmp_path: Path) -> None:
    name = f"evil{ESCAPE}"
    variant = a_variant(name, summary=ESCAPE, origin=ESCAPE, path=ESCAPE)
    cell = replace(a_cell(), variant=name, options={ESCAPE: ESCAPE})
    cell = replace(cell, setting=replace(cell.setting, device=ESCAPE))
    records = [
        measured(cell, 0.001),
        predicted(replace(cell, seq=4096), 60.0, why=ESCAPE),
        failed(replace(cell, seq=2048), "crashed", f"{ESCAPE}\nerror: {ESCAPE}"),
        pending(a_cell("sdpa", 1024)),
    ]
    profile = a_profile(*records, baseline=name, command=ESCAPE)
    profile = replace(
        profile,
        created=ESCAPE,
        machine=replace(profile.machine, cpu=ESCAPE, torch=ESCAPE, os=ESCAPE, governor=ESCAPE),
        variants={**profile.variants, name: variant},
    )
    store.Writer(tmp_path / "p.yaml").write(profile)
    for words in (["show"], ["show", "--json"], ["profile", "--resume"]):
        found = effattn(*words, str(tmp_path / "p.yaml"))
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", found.stdout + found.stderr
        )
        assert found.returncode == (2 if "--resume" in words else 0)
    refused = effattn("show", str(tmp_path / f"missing{ESCAPE}.yaml"))
    assert "\x1b" not in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


PLUGIN = """
from pathlib import Path
Path({marker!r}).touch()
from effattn_cli.attention import Attention, Card


class Mine(Attention):
    \"\"\"Gives the values back.\"\"\"

    card = Card(title="Mine", families=("own",), paper="", year=2026, time="N", memory="N",
                causal="never", kind="own mechanism")

    def attend(self, q, k, v, valid=None):
        return v
"""


def test_resuming_runs_nothing_that_the_file_names(tmp_path: Path) -> None:
    marker, plugin, path = tmp_path / "ran", tmp_path / "mine.py", tmp_path / "p.yaml"
    plugin.write_text(PLUGIN.format(marker=str(marker)))
    words = ["-v", "mine", "-s", "64", "--dim", "64", "--heads", "2", "--baseline", "none"]
    made = effattn("profile", *words, "--rounds", "1", "--plugin", str(plugin), "-o", str(path))
    assert made.returncode == 0, made.stderr
    marker.unlink()
    assert str(plugin) in path.read_text()
    unfinished = replace(store.read(path), finished=False)
    store.Writer(path).write(
        replace(unfinished, records=tuple(replace(r, runs=()) for r in unfinished.records))
    )

    refused = effattn("profile", "--resume", str(path))
    assert refused.returncode == 2
    assert "there is no variant 'mine'" in refused.stderr
    assert "--plugin" in refused.stderr
    assert not marker.exists()

    given = effattn("profile", "--resume", str(path), "--plugin", str(plugin), "-q")
    assert given.returncode == 0, given.stderr
    assert marker.exists()

    plugin.write_text(plugin.read_text() + "\n# another\n")
    changed = effattn("profile", "--resume", str(path), "--plugin", str(plugin))
    assert (changed.returncode, "has changed since" in changed.stderr) == (2, True)
