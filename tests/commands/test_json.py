"""What a program reads: one document under `--json`, as its schema says; also of an error."""

import json
import random
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from effattn_cli import cli, store
from effattn_cli.analysis.cost.scaling import Scaling
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.catalogs import Variants
from effattn_cli.report.documents.kinds import KINDS
from tests.builders import a_cell, a_profile, failed, measured, predicted
from tests.json_schema import faults
from tests.running import effattn
from tests.targets.far import Far

CONFIGS = Path(__file__).parents[1] / "models" / "configs"
SWEEP = ["-v", "linformer", "-s", "32,64", "--dim", "64", "--heads", "2", "--rounds", "1", "-q"]
#: By the kind of document: commands that print it, with an exit code if it is not 0.
COMMANDS: dict[str, list[str]] = {
    "profile": [
        "profile {sweep} -o {tmp}/p.yaml --json", "show {old} --json", "export {old} -f json",
        "devices -d cpu --json",
    ],
    "plan": [
        "profile {sweep} --dry-run --json",
        "profile {sweep} --phase decode,train --dry-run --json --time-budget 1s",
        "profile --model {tiny} -s 32 --phase forward,decode --dry-run --json --memory-limit 1GiB",
        "profile -v linformer -s 1k --dry-run --json --assume memory=24GiB,flops=80T,bandwidth=1TB",
    ],
    "fleet": ["profile {sweep} --on ssh:far --dry-run --json"],
    "evaluation": ["evaluate -v sliding-window --task fidelity -s 64 -o {tmp}/e.yaml --json -q"],
    "model": [
        "model {configs}/qwen3-next-80b-a3b.json --json --replace full=gated-deltanet --keep 0",
        "model {configs}/albert-base.json --json --memory 1GiB",
        "model {configs}/t5-small.json --json --train",
    ],
    "choice": [
        "choose {old} -s 2k --latency 2s --json", "choose {old} -s 2k --latency 'p95<=1ms' --json",
        "choose {old} -s 1k..4k --latency 2s --json", "choose {old} --latency 2s --json",
        "choose {old} -s 2k --exact --latency 1us --json",
        "choose ref:epyc-zen5-2-threads -s 16k --latency 1s --keep-weights --json",
    ],
    "model_choice": [
        "choose --model {configs}/llama-3-8b.json -c 8k --memory 20GiB --json",
        "choose --model {configs}/llama-3-8b.json -c 8k --memory 1GiB --json",
    ],
    "comparison": [
        "compare {old} {new} --json", "compare {old} {new} {old} --json --fail-if 'latency>5%'",
        "compare {old} {new} --output-format json --strict --fail-if 'energy>5%'",
        "compare {old} --variants sdpa linformer --json",
    ],
    "crossovers": ["crossover {old} --json", "crossover ref:epyc-zen5-2-threads --json"],
    "profiles": ["profiles --json"],
    "presets": ["presets --json"],
    "variants": ["variants --json", "variants linformer --json", "variants family:linear --json"],
    "check": ["check linformer --json"],
    "graph": ["export-model sdpa --dim 32 --heads 2 -s 32 -o {folder}/layer.onnx --json"],
    "kinds": ["schema --json"],
    "saved": [
        "report {old} -o {tmp}/r.html --json", "report {old} --chart peak -o {tmp}/r.svg --json",
        "score {new} linformer=81.2 --of accuracy --json", "merge {tmp}/m.yaml {old} {old} --json",
        "export {old} -o {tmp}/x.csv --json", "new my_start -o {tmp} --json",
    ],
    "error": [
        "show nobody --json", "show --json", "profile --bogus --json", "model --json",
        "variants linformr --json", "compare {old} {new} --fail-if latency --output-format json",
        "choose {old} --json", "crossover --json", "export {old} --json", "nothing --json",
    ],
}  # fmt: skip
SLOW = ("check", "evaluate", "export-model")


def a_side(seed: int, factor: float) -> list[Any]:
    rng = random.Random(seed)
    return [
        measured(a_cell(label, seq), [factor * rng.lognormvariate(0, 0.02) for _ in range(3)])
        for label in ("sdpa", "linformer")
        for seq in (1024, 2048, 4096)
    ]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Files that the commands name, and a machine that is reached over ssh."""
    tmp = tmp_path_factory.mktemp("json")
    extra = (
        predicted(a_cell("sdpa", 65536), 60.0),
        failed(a_cell("sdpa", 9), "raised", "\x1b: \ud800"),
    )
    for name, seed, factor in (("old", 1, 1.0), ("new", 2, 1.5)):
        profile = a_profile(*a_side(seed, factor), *extra)
        store.Writer(tmp / f"{name}.yaml").write(profile)
    model = json.loads((CONFIGS / "llama-3-8b.json").read_text())
    small = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2,
             "num_key_value_heads": 1, "num_hidden_layers": 2, "vocab_size": 100}  # fmt: skip
    (tmp / "tiny.json").write_text(json.dumps(model | small))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in Far(tmp / "far").variables.items():
            patch.setenv(name, value)
        yield {
            "tmp": str(tmp), "old": str(tmp / "old.yaml"), "new": str(tmp / "new.yaml"),
            "configs": str(CONFIGS), "tiny": str(tmp / "tiny.json"), "sweep": " ".join(SWEEP),
        }  # fmt: skip


def the_kind(document: dict[str, Any]) -> str:
    """The kind that a document says that it is: its first key."""
    return next(iter(document)).removeprefix("effattn_")


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        pytest.param(
            kind, typed, id=typed,
            marks=[pytest.mark.slow] if typed.split()[0] in SLOW else [],
        )
        for kind, commands in COMMANDS.items()
        for typed in commands
    ],
)  # fmt: skip
def test_a_document_is_as_its_schema_says(
    kind: str, typed: str, places: dict[str, str], tmp_path: Path
) -> None:
    words = shlex.split(typed.format(**places))
    found = effattn(*words, XDG_DATA_HOME=str(tmp_path / "data"))
    assert found.stdout.isascii()
    document = json.loads(found.stdout)
    assert the_kind(document) == kind, found.stderr
    assert faults(document, kinds.schema(KINDS[kind])) == []
    version = document.pop(KINDS[kind].key)
    assert version == KINDS[kind].version
    msgspec.convert(document, KINDS[kind].record)
    if kind == "error":
        assert found.returncode == document["exit_code"] == 2
        assert found.stderr.startswith(f"error: {document['message']}\n")
        assert (document["hint"] or "") in found.stderr
    else:
        assert "error: " not in found.stderr


def test_every_kind_is_printed_by_some_command() -> None:
    assert COMMANDS.keys() == KINDS.keys()


def options() -> dict[str, set[str]]:
    """By the name of a command that is listed, its options."""
    group: Any = typer.main.get_command(cli.app)
    return {
        name: {word for parameter in command.params for word in parameter.opts}
        for name, command in group.commands.items()
        if not command.hidden
    }


def test_every_command_has_json() -> None:
    assert [name for name, words in options().items() if "--json" not in words] == []


def test_every_command_is_among_those_that_print_a_kind() -> None:
    printing = {words.split()[0] for kind in KINDS.values() for words in kind.commands}
    assert options().keys() == printing - {"every"}


def test_a_schema_is_printed_and_its_kinds_are_listed() -> None:
    document = json.loads(effattn("schema", "choice").stdout)
    assert document == kinds.schema(KINDS["choice"])
    assert document["required"][0] == "effattn_choice"
    other = effattn("schema", "model-choice").stdout
    assert effattn("schema", "effattn_model_choice").stdout == other
    listed = effattn("schema").stdout
    assert all(name in listed for name in KINDS)
    wrong = effattn("schema", "choise")
    assert wrong.returncode == 2
    assert "did you mean 'choice'?" in wrong.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_tells_what_is_wrong(kind: str) -> None:
    schema = kinds.schema(KINDS[kind])
    assert faults({}, schema)
    assert faults({"effattn_other": 1}, schema)
    assert any("not in the schema" in fault for fault in faults({"bogus": 1}, schema))


def test_the_exponents_of_a_survey_are_in_its_document() -> None:
    found = Variants(
        variants=(), broken={"mine": "no card"},
        scalings={"linformer": Scaling(flops=1.0, memory=0.98), "mine": None},
    )  # fmt: skip
    document = json.loads(kinds.text(found))
    assert faults(document, kinds.schema(KINDS["variants"])) == []
    document["scalings"]["mine"] = {"flops": "1"}
    assert faults(document, kinds.schema(KINDS["variants"]))


def test_what_no_one_foresaw_is_a_document_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no\nway \x1b")

    monkeypatch.setattr("effattn_cli.library.newest", lambda *_: broken(None))
    found = effattn("profiles", "--json")
    assert found.returncode == 70
    document = json.loads(found.stdout)
    assert document["exit_code"] == 70
    assert document["message"].startswith("internal: RuntimeError: no way")
    assert effattn("profiles").stdout == ""


def test_what_is_stopped_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("effattn_cli.run.scheduler.Scheduler.run", stopped)
    path = tmp_path / "p.yaml"
    found = effattn("profile", *SWEEP, "-o", str(path), "--json")
    assert found.returncode == 130
    document = json.loads(found.stdout)
    assert document["message"] == "interrupted; what was measured is saved"
    assert found.stderr.startswith("interrupted; what was measured is saved\nhint: effattn profile")
    assert document["hint"] == f"effattn profile --resume {path} goes on from here"


def test_an_answer_that_cannot_be_written_down_is_one_document(
    places: dict[str, str], tmp_path: Path
) -> None:
    words = f"choose --model {places['tiny']} -c 1k --memory 1GiB --json --emit".split()
    found = effattn(*words, str(tmp_path / "no" / "policy.yaml"))
    assert found.returncode == 2
    assert the_kind(json.loads(found.stdout)) == "error"
