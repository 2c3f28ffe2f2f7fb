"""From a question to a module in a service, and what a policy file must not be."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.errors import UsageError
from effattn_cli.policy import OutsidePolicy, Policy
from tests.analysis.grids import grid, variants
from tests.builders import a_profile
from tests.running import effattn

pytestmark = pytest.mark.usefixtures("no_evidence")
SHORT = (256, 512, 1024, 4096)


def saved(folder: Path) -> Path:
    records = grid(SHORT, names=["sdpa", "linformer", "performer"])
    path = folder / "p.yaml"
    store.Writer(path).write(replace(a_profile(*records), variants=variants()))
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    found = effattn("choose", str(saved(tmp_path)), "--latency", "10ms", "--emit", str(path))
    assert found.returncode == 0, found.stderr
    assert found.stderr == f"saved: {path}\n"
    return path


def test_a_service_asks_for_shapes_and_builds_what_it_is_told(policy: Path) -> None:
    """The worked example: choose once, offline; load, look up and build in the service."""
    import torch

    found = Policy.read(policy)
    assert [(rule.up_to, rule.variant) for rule in found.rules] == [
        (256, "sdpa"), (512, "sdpa"), (1024, "sdpa"), (4096, "performer"),
    ]  # fmt: skip
    rule = found.at(seq=3000)
    assert (rule.variant, rule.options, rule.basis) == ("performer", {}, "measured")
    assert 0 < rule.margins["latency"] < 1
    layer = found.build(rule)
    q_BHTK = torch.randn(1, 8, 3000, 64)
    with torch.no_grad():
        assert layer.mix(q_BHTK, q_BHTK, q_BHTK).shape == q_BHTK.shape


def test_the_model_in_the_documents_runs(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    text = (
        Path("docs/choosing.md")
        .read_text()
        .split("<!-- policy -->\n```python\n")[1]
        .split("```")[0]
    )
    monkeypatch.chdir(policy.parent)
    found: dict[str, Any] = {}
    exec(text, found)
    assert found["encoder"][0].mixer.card.title == "Performer"
    with torch.no_grad():
        assert found["encoder"][:2](torch.randn(1, 300, 512)).shape == (1, 300, 512)


def test_no_rule_no_answer(policy: Path) -> None:
    found = Policy.read(policy)
    with pytest.raises(OutsidePolicy, match="no rule for 4097 tokens, they go up to 4096"):
        found.at(seq=4097)
    with pytest.raises(OutsidePolicy, match="batch 2 is more than the policy's 1"):
        found.at(seq=512, batch=2)


def test_reading_and_asking_never_loads_torch(policy: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from effattn_cli.policy import Policy\n"
        f"print(Policy.read(Path({str(policy)!r})).at(seq=99).variant, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "sdpa False\n"


def test_it_is_read_as_it_was_written(policy: Path, tmp_path: Path) -> None:
    found = Policy.read(policy)
    first, *others = found.rules
    tagged = replace(first, options={"scheme": "2e5", "deep": True, "rank": 64})
    found = replace(found, rules=(tagged, *others))
    found.write(tmp_path / "again.yaml")
    assert Policy.read(tmp_path / "again.yaml") == found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("effattn_policy: 2", "effattn_policy: 3"), "schema version '3'"),
        (lambda text: text.replace("effattn_policy: 2", "a: 1"), "no key 'effattn_policy'"),
        (lambda text: text.replace("up_to: 512", "up_to: 128"), "128 tokens come after 256"),
        (lambda text: text.replace("up_to: 512", "up_to: many"), r"rules\[1\].up_to: expected"),
        (lambda text: text.replace("variant: sdpa", "code: sdpa"), "unknown key 'code'"),
        (lambda text: text.replace("options: {}", "options: !!python/none x"), "tags are not"),
        (lambda text: text.replace("options: {}", "options: &a {}"), "aliases, anchors"),
        (lambda text: text.partition("rules:")[0] + "rules: []\n", "expected at least one"),
        (lambda _: "a: [", "not YAML"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(
    policy: Path, change: Callable[[str], str], why: str
) -> None:
    policy.write_text(change(policy.read_text()))
    with pytest.raises(UsageError, match=why):
        Policy.read(policy)


def test_where_nothing_fits_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    found = effattn("choose", str(saved(tmp_path)), "--latency", "1us", "--emit", str(path))
    assert found.returncode == 1
    assert found.stderr == "nothing fits at any of these lengths; no policy is written\n"
    assert not path.exists()


def test_what_must_be_trained_is_the_same_at_every_length(tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    records = grid(SHORT, names=["sdpa", "linformer", "plugin"])
    store.Writer(profile).write(replace(a_profile(*records), variants=variants()))
    for limit, last in (("10ms", 4096), ("3ms", 1024)):
        path = tmp_path / f"{limit}.yaml"
        found = effattn("choose", str(profile), "--latency", limit, "--emit", str(path))
        assert found.returncode == 0, found.stderr
        rules = Policy.read(path).rules
        assert len({rule.variant for rule in rules}) == 1
        assert rules[-1].up_to == last, found.stdout
