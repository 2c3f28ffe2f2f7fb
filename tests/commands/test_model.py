"""`effattn model`, `profile --model`, `choose --model` and `--assume`, as a person types them."""

import json
from pathlib import Path

import pytest

from effattn_cli import store
from effattn_cli.policy import LayoutPolicy
from tests.running import effattn

SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
    "max_position_embeddings": 1024, "torch_dtype": "float32",
}  # fmt: skip


together = pytest.mark.xdist_group("model")  # in one worker: the profile behind them is made once


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SMALL))
    return folder


@pytest.fixture(scope="module")
def profile(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profiles") / "tiny.yaml"
    found = effattn(
        "profile", "--model", str(config), "-s", "64,128", "--phase", "forward,decode", "--rounds",
        "1", "--replace", "full=gated-deltanet", "--keep", "1/2", "-q", "-o", str(path),
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return path


def words(text: str) -> str:
    return " ".join(text.split())


def test_layers_memory_and_what_fits(config: Path) -> None:
    found = effattn("model", str(config), "-c", "256,1k", "--memory", "1MiB", COLUMNS="120")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("tiny (llama): 4 layers of width 64, 136 k parameters, float32")
    assert "512 B a token" not in found.stdout
    assert "256 B a token" in found.stdout  # keys and values of 2 x 16 numbers, 4 bytes each
    assert found.stdout.splitlines()[-1].startswith("1.0 MiB holds one sequence of up to ")


def test_the_document_says_the_same(config: Path) -> None:
    found = effattn("model", str(config), "-c", "256", "--memory", "1MiB", "--json")
    (layout,) = json.loads(found.stdout)["layouts"]
    (budget,) = layout["budgets"]
    assert budget["total"] == sum(budget["lines"].values())
    assert budget["lines"]["weights"] == 4 * layout["parameters"]
    assert budget["lines"]["kv cache"] == 4 * 256 * 256
    assert layout["order"] == [0, 0, 0, 0]


def test_layers_by_hand_need_their_widths() -> None:
    found = effattn("model", "--layers", "gated-deltanet*3,gated-attention", "--dim", "128")
    assert found.returncode == 2
    assert found.stderr == (
        "error: --layers: the widths are missing\nhint: give --dim and --heads, too\n"
    )
    found = effattn(
        "model", "--layers", "gated-deltanet*3,gated-attention", "--dim", "128", "--heads", "4",
        "--feed", "swiglu:256",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "gated-deltanet" in found.stdout


@pytest.mark.parametrize(
    ("asked", "error", "hint"),
    [
        (["model"], "neither a model nor --layers is given: give one of them", "config.json"),
        (["model", "lama-3-8b"], "unknown model 'lama-3-8b'", "'llama-3-8b'"),
        (["model", "no/such.json"], "there is no file 'no/such.json'", ""),
        (["model", "gpt2", "--keep", "1/2"], "--keep needs --replace", "--replace"),
        (["model", "gpt2", "-c", "1..20:+1"], "--context: 20 values are too many", ""),
        (["profile", "--model", "gpt2", "-v", "sdpa"], "--model decides --variant", "--replace"),
        (["profile", "--model", "gpt2", "--dim", "8"], "--model decides --dim", "--replace"),
        (["profile", "-v", "sdpa", "--feed", "none"], "--feed applies to the scope block", "block"),
        (["profile", "-v", "sdpa", "--assume", "memory=1GiB"], "--assume plans for", "--dry-run"),
        (["choose", "--model", "gpt2", "-c", "1k"], "no budget given", "--memory"),
        (["choose", "--model", "gpt2", "--memory", "1GiB"], "--context: one length", "--context"),
        (["choose", "--prefill", "1s"], "--prefill applies to a whole model", "--model"),
        (["choose", "--model", "gpt2", "--exact"], "--exact applies to one layer", "--memory"),
        (
            ["choose", "--model", "gpt2", "--fidelity", "5%", "--trained"],
            "--fidelity is of what keeps",
            "--recall",
        ),
        (
            ["choose", "--model", "gpt2", "--latency", "1s"],
            "--latency applies to one layer",
            "--mem",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_line(
    asked: list[str], error: str, hint: str
) -> None:
    found = effattn(*asked)
    assert found.returncode == 2
    first, *rest = found.stderr.splitlines()
    assert first.startswith(f"error: {error}")
    assert not hint or hint in " ".join(rest)


@pytest.mark.in_ci
@together
def test_a_profile_of_a_model_tells_the_whole(profile: Path) -> None:
    saved = store.read(profile)
    assert [model.name for model in saved.models] == [
        "tiny", "tiny, full=gated-deltanet, 2 of 4 kept",
    ]  # fmt: skip
    found = effattn("show", str(profile), COLUMNS="120")
    assert found.returncode == 0, found.stderr
    text = words(found.stdout)
    assert "tiny reads 128 tokens in" in text
    assert "tiny, full=gated-deltanet, 2 of 4 kept makes a token after 128 in" in text


@pytest.mark.in_ci
@together
def test_distinct_layers_are_measured_once_for_all_layouts(profile: Path) -> None:
    saved = store.read(profile)
    blocks = [r.cell for r in saved.records if r.cell.setting.scope == "block"]
    assert len(blocks) == 2 * 2 * 2  # two kinds of layers, two lengths, two phases
    assert len(set(blocks)) == len(blocks)


def test_choosing_by_evidence(config: Path) -> None:
    asked = [
        "choose", "--model", str(config), "-c", "4k", "--memory", "1GiB", "--replace",
        "full=sliding-window", "--evidence", "ref:fidelity", "--all",
    ]  # fmt: skip
    found = effattn(*asked, "--fidelity", "1%", COLUMNS="120")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[0].endswith("memory 1.0 GiB, an error of 1 %")
    (row,) = [line for line in found.stdout.splitlines() if line.startswith("full=sliding")]
    assert row.split()[-2:] == ["%", "fidelity"]
    found = effattn(*asked, "--recall", "8", "--json")
    document = json.loads(found.stdout)
    assert document["limits"]["recall"] == 8
    probabilities = {
        layout["layout"]: layout["probabilities"]["recall"] for layout in document["layouts"]
    }
    assert probabilities == {"tiny": 1.0, "tiny, full=sliding-window": 0.0}


@pytest.mark.in_ci
@together
def test_choosing_a_layout(config: Path, profile: Path, tmp_path: Path) -> None:
    asked = ["choose", "--model", str(config), "-c", "128", str(profile)]
    found = effattn(*asked, "--memory", "1GiB", "--prefill", "100s", COLUMNS="120")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1].startswith("Keep tiny as it is: ")
    policy = tmp_path / "policy.yaml"
    found = effattn(*asked, "--memory", "1GiB", "--emit", str(policy))
    assert found.returncode == 0, found.stderr
    read = LayoutPolicy.read(policy)
    assert (read.swap, read.context, read.limits) == ("as it is", 128, {"memory": 2.0**30})
    built = read.build()
    assert sum(w.numel() for mixer in built if mixer for w in mixer.parameters()) == sum(
        layer.mixer.parameters for layer in read.model.layers if layer.mixer
    )
    found = effattn(*asked, "--memory", "1KiB", "--json")
    assert found.returncode == 1
    document = json.loads(found.stdout)
    assert document["best"] is None
    assert {layout["fits"] for layout in document["layouts"]} == {False}


def test_a_plan_for_a_machine_that_is_not_here(config: Path) -> None:
    found = effattn(
        "profile", "--model", str(config), "-s", "128k", "--phase", "decode,train", "--dry-run",
        "-q", "-d", "cuda:0", "--assume", "memory=24GiB,flops=80T,bandwidth=1TB", COLUMNS="120",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    text = words(found.stdout)
    assert "Modelled for 24.0 GiB, 80.0 TFLOP/s, 1.0 TB/s" in text
    assert "tiny: makes a token after 128k in ~" in text
    assert "which fits 24.0 GiB." in text


@pytest.mark.parametrize("text", ["", "memory", "flops=fast", "bandwidth=0", "a,b"])
def test_an_assumption_that_cannot_be_read_is_refused(text: str) -> None:
    found = effattn("profile", "-v", "sdpa", "--dry-run", "--assume", text)
    assert found.returncode == 2
    assert found.stderr.startswith("error: ")
