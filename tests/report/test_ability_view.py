"""Abilities on the screen."""

from effattn_cli.evaluation import Ability, Evaluation, Evidence, Training
from effattn_cli.records import Failure
from effattn_cli.report.evaluation import ability_view
from tests.builders import a_cell, an_evaluation
from tests.report.screen import screen


def an_able_evaluation() -> Evaluation:
    def runs(*accuracies: tuple[float, ...]) -> tuple[Training, ...]:
        return tuple(
            Training(rate=0.01, seed=seed, accuracies=each, steps_to_90=150 + seed)
            for seed, each in enumerate(accuracies)
        )

    def evidence(label: str, *found: Training, state: int | None, **axes: bool) -> Evidence:
        cell = a_cell(label, 128, dim=64, heads=2, batch=64, **axes)
        ability = Ability(task="recall", loads=(8, 16, 32, 64), runs=found)
        return Evidence(cell=cell, state_bytes=state, ability=(ability,))

    failure = Failure(reason="unsupported", message="it gives another number of tokens")
    return an_evaluation(
        evidence("sdpa", *runs((1, 1, 1, 0.99), (1, 1, 1, 1)), state=64 * 65536, causal=True),
        evidence("linformer", *runs((0.95, 0.7, 0.3, 0.1), (0.9, 0.6, 0.3, 0.1)), state=None),
        evidence("fnet", *runs((0.01,) * 4), state=None),
        evidence("charformer", Training(rate=0.01, seed=0, failure=failure), state=None),
        evidence("gla", Training(rate=0.01, seed=0), state=None, causal=True),
    )


def test_accuracy_by_load_with_the_seeds_beside_state_steps_and_rate() -> None:
    text = screen(ability_view.view(an_able_evaluation()), width=100)
    assert "right answers by pairs; 128 tokens, width 64, 2 heads" in " ".join(text.split())
    table = text.split("─\n")[1]
    assert table.splitlines()[0].split() == [
        "sdpa", "64.0", "KiB", "100", "%", "100", "%", "100", "%", "99-100", "%", "150", "steps",
        "0.01",
    ]  # fmt: skip
    assert "linformer (no mask)" in table
    assert "90-95 %" in table
    assert "failed" in table
    assert "not trained yet" in table


def test_a_sentence_says_how_much_each_can_do_and_why_one_has_no_values() -> None:
    text = " ".join(screen(ability_view.view(an_able_evaluation()), width=200).split())
    assert "sdpa gets 90 % right up to 64 pairs, with 64.0 KiB of state." in text
    assert "linformer gets 90 % right up to 8 pairs." in text
    assert "fnet does not get 90 % right at 8 pairs." in text
    assert "charformer: not supported: it gives another number of tokens" in text
    assert ability_view.CAUTION in text


def test_nothing_is_shown_where_nothing_was_asked_for() -> None:
    assert not screen(ability_view.view(an_evaluation()), width=80).strip()
