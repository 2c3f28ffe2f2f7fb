# ruff: noqa: E501  sentences as they are printed
import re
from typing import Any

import pytest
from hypothesis import given
from inline_snapshot import snapshot
from msgspec.structs import replace

from effattn_cli.records import Record
from effattn_cli.report.profile.findings import sentences
from tests.builders import (
    MIB,
    MS,
    a_cell,
    a_profile,
    failed,
    measured,
    pending,
    predicted,
)
from tests.report.mixes import mixes


def curve(label: str, *seconds: float, peak: int = 4 * MIB, **axes: Any) -> list[Record]:
    """Measured at 1k, 2k, 4k, ..."""
    return [
        measured(a_cell(label, 1024 << place, **axes), value, peak << place)
        for place, value in enumerate(seconds)
    ]


def about(*parts: list[Record], **facts: Any) -> list[str]:
    """The sentences, without the one that never changes."""
    profile = a_profile(*(record for part in parts for record in part), **facts)
    return [text for text in sentences(profile) if "quality is not measured" not in text]


def test_a_crossover_with_a_prediction_at_its_end() -> None:
    sdpa = [*curve("sdpa", 7.3 * MS, 29 * MS, 0.118), predicted(a_cell("sdpa", 8192), 0.47)]
    assert sentences(
        a_profile(*sdpa, *curve("linformer", 9 * MS, 14 * MS, 20 * MS, 40 * MS, peak=6 * MIB))
    ) == snapshot(
        [
            "linformer is faster than exact attention (sdpa) from 2k tokens on, and at 8k ~12x faster (40.0 ms against ~470 ms, predicted).",
            "It needs more peak memory than sdpa at every length from 1k to 8k tokens, and at 8k ~12x more (48.0 MiB against ~4.0 MiB, predicted).",
            "linformer approximates softmax: its quality is not measured here.",
        ]
    )


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        (
            (0.5, 1, 1),
            "faster than exact attention (sdpa) at every length from 1k to 4k tokens, and at",
        ),
        ((1.5, 3, 6), "slower than exact attention (sdpa) at every length from 1k to 4k tokens"),
        ((1, 2, 4), "linformer and exact attention (sdpa) are too close to call at every length"),
        ((1.5, 1, 2), "is faster than exact attention (sdpa) from 2k tokens on, and at 4k 2.0x"),
        ((1.5, 3, 2), "is 2.0x faster than exact attention (sdpa) at 4k tokens (2.00 s against"),
        ((0.5, 3, 6), "slower than exact attention (sdpa) from 2k tokens on, and at 4k 1.5x"),
    ],
)
def test_the_first_sentence_says_who_is_faster_where(mine: tuple[float, ...], told: str) -> None:
    assert told in about(curve("sdpa", 1, 2, 4), curve("linformer", *mine))[0]


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        ((0.5, 3, 6), "; faster at 1k tokens."),
        ((0.5, 1, 4), "; linformer is faster at 1k and 2k tokens."),
        ((0.5, 3, 2), "; faster at 1k tokens, slower at 2k tokens."),
        ((1, 3, 2), "; slower at 2k tokens, too close to call at 1k tokens."),
        ((1, 1, 2), "; too close to call at 1k tokens."),
    ],
)
def test_then_it_names_the_lengths_where_that_does_not_hold(
    mine: tuple[float, ...], told: str
) -> None:
    assert about(curve("sdpa", 1, 2, 4), curve("linformer", *mine))[0].endswith(told)


def test_lengths_where_one_side_is_missing_are_not_claimed() -> None:
    sdpa = [*curve("sdpa", 1, 2, 4), failed(a_cell("sdpa", 8192), message="would need 41.0 GiB")]
    assert about(sdpa, curve("linformer", 0.5, 1, 2, 4)) == snapshot(
        [
            "linformer is faster than exact attention (sdpa) from 1k to 4k tokens, and at 4k 2.0x faster (2.00 s against 4.00 s).",
            "It needs as much peak memory as sdpa from 1k to 4k tokens (16.0 MiB against 16.0 MiB at 4k).",
            "sdpa has no result at 8k tokens: out of memory, would need 41.0 GiB.",
        ]
    )
    holey = [record for record in curve("sdpa", 1, 2, 4, 8) if record.cell.seq != 4096]
    assert "at 1k, 2k and 8k tokens" in about(holey, curve("linformer", 2, 4, 8, 16))[0]


def test_a_run_that_begins_with_a_prediction_says_so() -> None:
    sdpa = [*curve("sdpa", 1), *(predicted(a_cell("sdpa", seq), 9.0) for seq in (2048, 4096))]
    assert "from 2k tokens on (predicted), and" in about(sdpa, curve("linformer", 2, 3, 4))[0]


@pytest.mark.parametrize(
    ("peak", "told"),
    [
        (8 * MIB, "It needs more peak memory than sdpa at every length from 1k to 4k tokens, and at 4k "
         "2.0x more (32.0 MiB against 16.0 MiB)."),
        (2 * MIB, "It needs less peak memory than sdpa at every length from 1k to 4k tokens, "
         "and at 4k 2.0x less (8.0 MiB against 16.0 MiB)."),
        (4 * MIB, "It needs as much peak memory as sdpa at every length from 1k to 4k tokens (16.0 MiB "
         "against 16.0 MiB at 4k)."),
    ],
)  # fmt: skip
def test_the_second_sentence_is_about_memory(peak: int, told: str) -> None:
    assert about(curve("sdpa", 1, 2, 4), curve("linformer", 1, 1, 1, peak=peak))[1] == told


def test_in_decoding_it_is_about_the_state() -> None:
    records = [
        measured(a_cell(label, phase="decode"), 1 * MS, 90_000, state_bytes=state)
        for label, state in (("sdpa", 64 * MIB), ("linear-transformer", MIB))
    ]
    assert about(records)[1] == (
        "It keeps 64x less state than sdpa at 1k tokens (1.0 MiB against 64.0 MiB)."
    )


def test_several_variants_get_a_winner_and_a_line_each() -> None:
    assert sentences(
        a_profile(
            *curve("sdpa", 1, 2, 4),
            *curve("linformer", 2, 1, 1, peak=8 * MIB),
            *curve("linformer:rank=64", 0.5, 0.5, 0.5),
            failed(a_cell("local"), "unsupported", "Local cannot do that"),
            failed(a_cell("local", 2048), "unsupported", "Local cannot do that"),
        )
    ) == snapshot(
        [
            "At 4k tokens linformer:rank=64 is the fastest, 8.0x faster than exact attention (sdpa): 500 ms against 4.00 s.",
            "linformer is faster than sdpa from 2k tokens on, and at 4k 4.0x faster; it needs 2.0x more peak memory at 4k.",
            "linformer:rank=64 is faster than sdpa at every length from 1k to 4k tokens, and at 4k 8.0x faster; it needs as much peak memory at 4k.",
            "local has no result at any length: not supported, Local cannot do that.",
            "linformer approximates softmax: its quality is not measured here.",
        ]
    )


def test_winners_that_cannot_be_told_apart_share_the_place() -> None:
    told = about(curve("sdpa", 4), curve("linformer", 1), curve("linear-transformer", 1.01))[0]
    assert told == (
        "At 1k tokens the fastest are too close to call: linformer and linear-transformer"
        " (1.00 s and 1.01 s)."
    )


def test_the_baseline_may_win() -> None:
    told = about(curve("sdpa", 1), curve("linformer", 2), curve("linear-transformer", 3))[0]
    assert told == (
        "At 1k tokens exact attention (sdpa) is the fastest, 2.0x faster than linformer:"
        " 1.00 s against 2.00 s."
    )


def test_without_a_baseline_the_variants_are_compared_with_each_other() -> None:
    two = [*curve("linformer", 1), *curve("linear-transformer", 3)]
    assert about(two, baseline=None) == [
        "At 1k tokens linformer is the fastest, 3.0x faster than linear-transformer:"
        " 1.00 s against 3.00 s."
    ]
    assert about(curve("linformer", 1, 2), baseline=None) == [
        "linformer takes 2.00 s and 8.0 MiB at 2k tokens."
    ]


def test_a_baseline_of_which_nothing_is_known_is_no_baseline() -> None:
    lost = failed(a_cell("sdpa"), "crashed", "the process was killed by signal 11 (SIGSEGV)")
    assert about(curve("linformer", 1), [lost]) == [
        "linformer takes 1.00 s and 4.0 MiB at 1k tokens.",
        "sdpa has no result at 1k tokens: crashed, the process was killed by signal 11 (SIGSEGV).",
    ]


def test_a_baseline_that_is_not_exact_is_not_called_so() -> None:
    told = about(curve("linformer", 2), curve("linear-transformer", 1), baseline="linformer")[0]
    assert (
        told
        == "linear-transformer is 2.0x faster than linformer at 1k tokens (1.00 s against 2.00 s)."
    )


def test_failures_are_told_together_where_their_reason_is_the_same() -> None:
    lost = [
        failed(a_cell("sdpa", seq), "out-of-memory", f"would need {seq} GiB")
        for seq in (2048, 4096)
    ]
    refused = [
        failed(a_cell("linformer", seq), "unsupported", "Linformer cannot be causal")
        for seq in (1024, 2048, 4096)
    ]
    assert about(curve("sdpa", 1), lost, refused) == [
        "exact attention (sdpa) takes 1.00 s and 4.0 MiB at 1k tokens.",
        "sdpa has no result at 2k and 4k tokens: out of memory.",
        "linformer has no result at any length: not supported, Linformer cannot be causal.",
    ]


def test_nothing_measured_is_nothing_claimed() -> None:
    assert sentences(a_profile(pending(a_cell("sdpa")), pending(a_cell("linformer")))) == [
        "Unfinished: 2 of 2 cells have no result yet."
    ]


def test_settings_begin_the_sentences_with_what_tells_them_apart() -> None:
    told = about(
        curve("sdpa", 1), curve("linformer", 2),
        curve("sdpa", 2, dtype="bfloat16"), curve("linformer", 1, dtype="bfloat16"),
    )  # fmt: skip
    assert [text.split(" ")[:3] for text in told] == [
        ["float32:", "linformer", "is"],
        ["float32:", "linformer", "needs"],
        ["bfloat16:", "linformer", "is"],
        ["bfloat16:", "linformer", "needs"],
    ]


def test_what_is_no_softmax_is_said_of_what_was_measured() -> None:
    told = sentences(
        a_profile(
            *curve("sdpa", 1), *curve("linformer", 1), *curve("performer", 1), *curve("hyena", 1),
            failed(a_cell("never-ran")),
            variants=a_profile(
                *(measured(a_cell(name), 1.0) for name in ("sdpa", "linformer", "hyena", "never-ran")),
            ).variants,
        )
    )  # fmt: skip
    assert told[-2:] == snapshot(
        [
            "linformer approximates softmax: its quality is not measured here.",
            "hyena is a mechanism of its own, not softmax: its quality is not measured here.",
        ]
    )


def test_names_from_files_cannot_speak_to_the_terminal() -> None:
    records = [measured(replace(a_cell(), variant="\x1b[31mred"), 1.0), *curve("linformer", 2)]
    told = " ".join(about(records, baseline="\x1b[31mred"))
    assert told.isprintable()
    assert r"\x1b[31mred" in told


@given(mixes())
def test_whatever_happened_something_true_is_said(records: list[Record]) -> None:
    told = sentences(a_profile(*records))
    assert told
    assert all(text.isprintable() and text.endswith(".") for text in told)
    assert not any(re.search(r"None|nan|inf |  |\(\)|\{|\}", text) for text in told)
    predictions = any(r.prediction is not None for r in records)
    assert predictions or not any("~" in text or "predicted" in text for text in told)
