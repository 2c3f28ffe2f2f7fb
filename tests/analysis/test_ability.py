"""What is said of several trainings together."""

import pytest

from effattn_cli.analysis import ability
from effattn_cli.catalog import Catalog
from effattn_cli.evaluation import Ability, Evidence, Training
from effattn_cli.records import Failure
from tests.builders import a_cell

LOW, HIGH = 0.003, 0.01
NO = Failure(reason="timeout", message="")


def of(*runs: Training) -> Ability:
    return Ability(task="recall", loads=(8, 16), runs=runs)


def run(rate: float, seed: int, *accuracies: float, steps: int | None = None) -> Training:
    return Training(rate=rate, seed=seed, accuracies=accuracies, steps_to_90=steps)


def test_the_best_rate_is_that_of_the_best_mean_over_loads_and_seeds() -> None:
    found = of(run(LOW, 0, 1.0, 0.2), run(HIGH, 0, 0.9, 0.5), run(LOW, 1, 1, 0.3))
    assert ability.rates(found) == {LOW: pytest.approx(0.625), HIGH: pytest.approx(0.7)}
    complete = of(*found.runs, run(HIGH, 1, 0.7, 0.3))
    learned = ability.best(complete)
    assert learned is not None
    assert (learned.rate, learned.mean(0), learned.spread(1)) == (LOW, 1.0, (0.2, 0.3))


def test_a_rate_with_fewer_seeds_is_not_the_best() -> None:
    failed = Training(rate=HIGH, seed=1, failure=NO)
    learned = ability.best(of(run(LOW, 0, 0.5, 0.5), run(HIGH, 0, 1, 1), run(LOW, 1, 0, 0), failed))
    assert learned is not None
    assert learned.rate == LOW


def test_steps_are_a_median_and_unknown_where_a_seed_never_came_so_far() -> None:
    both = ability.best(of(run(LOW, 0, 1, 1, steps=100), run(LOW, 1, 1, 1, steps=200)))
    one = ability.best(of(run(LOW, 0, 1, 1, steps=100), run(LOW, 1, 1, 1)))
    assert both is not None
    assert one is not None
    assert (both.steps_to_90, one.steps_to_90) == (150, None)


@pytest.mark.parametrize(
    ("runs", "held"),
    [
        ([run(LOW, 0, 0.95, 0.92), run(LOW, 1, 0.91, 0.9)], 16),
        ([run(LOW, 0, 0.95, 0.92), run(LOW, 1, 0.91, 0.89)], 8),
        ([run(LOW, 0, 0.89, 1.0)], 0),  # a load that is held after one that is not says nothing
        ([Training(rate=LOW, seed=0, failure=NO)], None),
        ([], None),
    ],
)
def test_a_load_is_held_where_every_seed_holds_it_and_all_below(
    runs: list[Training], held: int | None
) -> None:
    assert ability.held(of(*runs)) == held


def test_evidence_is_grouped_by_task_whether_it_has_a_mask_or_not() -> None:
    first = Evidence(cell=a_cell("sdpa", 128, causal=True), ability=(of(),))
    second = Evidence(cell=a_cell("linformer", 128), ability=(of(),))
    longer = Evidence(cell=a_cell("sdpa", 256, causal=True), ability=(of(),))
    groups = ability.groups([first, second, longer])
    assert list(groups.values()) == [[first, second], [longer]]
    assert {task for task, _ in groups} == {"recall"}


def test_a_window_of_the_whole_sequence_is_not_tested() -> None:
    known = Catalog()
    local, wide = a_cell("sliding-window:window=32", 128), a_cell("sliding-window", 128)
    variant = known.variant("sliding-window")
    assert ability.untested(Evidence(cell=local), variant) == {}
    assert ability.untested(Evidence(cell=wide), variant) == {"window": 256}
    assert ability.untested(Evidence(cell=wide.resized(512)), variant) == {}
    assert ability.untested(Evidence(cell=a_cell("sdpa", 128)), known.variant("sdpa")) == {}


def test_the_state_is_told_of_one_sequence() -> None:
    record = Evidence(cell=a_cell("sdpa", 128, batch=64), state_bytes=6400)
    assert ability.state_of_one(record) == 100
    assert ability.state_of_one(Evidence(cell=record.cell)) is None
