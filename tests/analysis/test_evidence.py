"""Which findings of evaluations speak of a setting, and how a label is known by them."""

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.selection.evidence import Evidence, evidence, nearest
from effattn_cli.evaluate.regimes import REGIMES
from effattn_cli.evaluation import CAPTURED, OWN, Ability, Evaluation, Training
from effattn_cli.evaluation import Evidence as Found
from effattn_cli.setting import Setting
from tests.builders import a_cell, a_variant, an_evaluation, faithful

HERE = Setting(threads=2)  # 8 heads of 64, not causal
CODES = {"performer": "0123456789ab", "sliding-window": "0123456789ab"}


def off(label: str, error: float, seq: int = 1024, regime: str = CAPTURED, **axes: object) -> Found:
    return faithful(a_cell(label, seq, **axes), error, regime, heads=8)


def known(*evaluations: Evaluation, setting: Setting = HERE) -> Evidence:
    return evidence({str(n): one for n, one in enumerate(evaluations)}, setting, CODES)


def values(found: Evidence, label: str) -> list[tuple[int, float]]:
    return [(one.seq, round(one.value, 6)) for one in found.get(label, ())]


def learned(label: str, *accuracies: float, causal: bool = True) -> Found:
    run = Training(rate=0.01, seed=0, accuracies=accuracies)
    task = Ability(task="recall", loads=(8, 16, 32, 64)[: len(accuracies)], runs=(run,))
    return Found(cell=a_cell(label, 128, dim=64, heads=2, causal=causal), ability=(task,))


def test_the_regime_that_counts_is_one_that_there_is() -> None:
    assert CAPTURED in REGIMES


def test_errors_are_those_of_captured_heads_with_their_interval() -> None:
    found = known(an_evaluation(off("performer", 0.2), off("sliding-window", 0.3, regime="local")))
    (one,) = found["performer"]
    assert (one.task, one.regime, one.source, one.same_code) == ("fidelity", CAPTURED, "0", True)
    assert one.value == pytest.approx(0.2)
    assert one.low < one.value < one.high
    assert "sliding-window" not in found


def test_ones_own_heads_count_alone_as_soon_as_there_are_any() -> None:
    shipped = an_evaluation(off("performer", 0.2), off("sliding-window", 0.3))
    own = an_evaluation(off("performer", 0.4, 512, OWN))
    found = known(shipped, own)
    assert values(found, "performer") == [(512, 0.4)]
    assert "sliding-window" not in found  # its error on other heads cannot be compared


def test_a_setting_is_spoken_of_by_what_is_as_causal_and_nearest_in_width() -> None:
    records = [off("performer", 0.1, causal=True), off("performer", 0.2, dim=256),
               off("performer", 0.3, dim=1024), off("performer", 0.4, dim=4096)]  # fmt: skip
    found = known(an_evaluation(*records))
    assert values(found, "performer") == [(1024, 0.2), (1024, 0.3)]  # 32 and 128, both by two
    causal = known(an_evaluation(*records), setting=replace(HERE, causal=True))
    assert values(causal, "performer") == [(1024, 0.1)]


def test_the_first_evaluation_that_knows_a_label_counts() -> None:
    mine, shipped = an_evaluation(off("performer", 0.1, 256)), an_evaluation(off("performer", 0.2))
    assert values(known(mine, shipped), "performer") == [(256, 0.1)]
    assert values(known(shipped, mine), "performer") == [(1024, 0.2)]


def test_other_code_is_marked() -> None:
    old = an_evaluation(off("performer", 0.1))
    old = replace(old, variants={"performer": a_variant("performer", code="ba9876543210")})
    assert not known(old)["performer"][0].same_code


def test_the_nearest_length_counts_on_a_logarithmic_axis() -> None:
    found = known(an_evaluation(off("performer", 0.1), off("performer", 0.2, 16384)))
    near = [nearest(found["performer"], seq)["fidelity"].seq for seq in (256, 2048, 8192, 65536)]
    assert near == [1024, 1024, 16384, 16384]


def test_what_is_recalled_is_the_largest_load_of_which_nine_of_ten_are_right() -> None:
    found = known(an_evaluation(learned("performer", 1.0, 0.95, 0.85)))
    (one,) = found["performer"]
    assert (one.task, one.value) == ("recall", 16)
    assert one.meets(16)
    assert not one.meets(32)


def test_a_mask_as_in_the_setting_comes_first() -> None:
    both = an_evaluation(learned("performer", 1.0), learned("performer", 0.5, causal=False))
    assert nearest(known(both)["performer"], 128)["recall"].value == 0
    causal = known(both, setting=replace(HERE, causal=True))
    assert nearest(causal["performer"], 128)["recall"].value == 8
