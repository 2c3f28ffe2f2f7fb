"""Fidelity as people read it."""

from inline_snapshot import snapshot
from msgspec.structs import replace
from rich.console import Console

from effattn_cli.cards import Option
from effattn_cli.evaluation import OWN, Evidence, Fidelity
from effattn_cli.records import Failure
from effattn_cli.report.evaluation import fidelity_view
from tests.analysis.test_fidelity import evidence
from tests.builders import a_card, a_variant, an_evaluation


def shown(*records: Evidence, limit: float = 0.05) -> str:
    window = a_variant("sliding-window", card=a_card(swap="lossy", knobs={"window": "2 N"}))
    window = replace(window, options=(Option(name="window", type="int", default=256),))
    variants = {"sliding-window": window, "sdpa": a_variant("sdpa")}
    names = {record.cell.variant for record in records}
    found = an_evaluation(*records, variants={name: variants[name] for name in sorted(names)})
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(fidelity_view.view(found, limit))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_error_against_knob_against_cost() -> None:
    few = evidence("sliding-window:window=64", 10**6, local=(0.06, 0.08), clustered=0.9)
    some = evidence("sliding-window", 4 * 10**6, local=(0.02, 0.022), clustered=0.4)
    whole = evidence("sdpa", 10**9, local=1e-7, clustered=1e-7)
    overlapping = replace(few.fidelity[0], overlaps=(0.5, 0.6))
    few = replace(few, state_bytes=4096, fidelity=(overlapping, few.fidelity[1]))
    assert shown(few, some, whole) == snapshot("""\
Error of the output, 1k tokens, not causal, 8 heads of 64, float32
variant                    FLOPs    state    local  clustered
─────────────────────────────────────────────────────────────
sliding-window:window=64   1.0 M  4.0 KiB  7 % ±13    90 % ±0
sliding-window:window=256  4.0 M            2 % ±1    40 % ±0
sdpa                       1.0 G           <0.01 %    <0.01 %

Of the ten keys that weigh most for a query, the share that weighs most here too
variant                    local  clustered
───────────────────────────────────────────
sliding-window:window=64    55 %          -
sliding-window:window=256      -          -
sdpa                           -          -

With an error below 5 %, a trained model can live with sliding-window with window=256 in local; in
clustered no value tried does (40 %).
With an error below 5 %, a trained model can live with sdpa in every regime.\
""")


def test_a_failure_has_a_reason() -> None:
    failed = Fidelity(regime="local", failure=Failure(reason="timeout", message="no answer"))
    record = replace(evidence("sdpa", None), fidelity=(failed,))
    text = shown(record)
    assert "failed" in text
    assert text.rstrip().endswith("sdpa: over the time limit: no answer")


def test_the_users_own_are_called_so() -> None:
    near = evidence("sliding-window", 1, **{OWN: 0.01})
    far = evidence("sliding-window:window=8", 1, **{OWN: 0.3})
    assert " ".join(shown(near, far).split("\n\n")[-1].split()) == snapshot(
        "With an error below 5 %, a trained model can live with sliding-window"
        " with window=256 on your q, k and v."
    )
    assert " ".join(shown(far).split("\n\n")[-1].split()) == snapshot(
        "With an error below 5 %, a trained model can live with sliding-window"
        " nowhere: it comes nearest on your q, k and v, 30 %."
    )
