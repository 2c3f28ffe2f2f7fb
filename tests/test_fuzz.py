"""Any bytes at all: a profile, a config, a range, or one line that says what is wrong."""

from collections.abc import Callable
from functools import partial

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from effattn_cli import store
from effattn_cli.errors import UsageError
from effattn_cli.plan import request
from effattn_cli.plan.config_file import from_file
from effattn_cli.quantities import parse_bytes, parse_seconds
from effattn_cli.ranges import fractions, lengths
from tests.builders import a_cell, a_profile, failed, measured, predicted

MIXED = store.as_yaml(
    a_profile(
        measured(a_cell("linformer:rank=64", 1024), [0.001]),
        predicted(a_cell("sdpa", 65536), 62.1),
        failed(a_cell("sdpa", 2048), "crashed", "signal 11"),
    )
)
EDITED = yaml.safe_dump(yaml.safe_load(MIXED))  # no record stands as effattn writes it


def check(read: Callable[[], object]) -> None:
    """It gives something, or one line."""
    told = "fine"
    try:
        read()
    except UsageError as error:
        told = str(error)
    assert len(told.splitlines()) == 1
    assert len(told) < 600


def check_profile(data: bytes) -> None:
    check(lambda: store.parse(data))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_profile_or_one_line(data: bytes) -> None:
    check_profile(data)
    check_profile(b"effattn_profile: 2\n" + data)
    check_profile(MIXED.encode() + b"  " + data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([MIXED, EDITED]), st.data())
def test_any_change_leaves_a_profile_or_one_line(text: str, data: st.DataObject) -> None:
    changed = text.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(changed)))
        length = data.draw(st.sampled_from([0, 1, 1, 8, 200]))
        piece = data.draw(st.binary(max_size=4) | st.sampled_from(PIECES))
        changed = changed[:start] + piece + changed[start + length :]
    check_profile(changed)


PIECES = [
    b"&a ", b"*a", b"!!python/none", b"[[", b"{", b"}", b"]", b"NaN", b".inf", b"\x1b", b"\n",
    b"\n  ", b"- ", b": ", b"''", b'""', b"9" * 5000, b"records:\n", b"- cell: {", b"null", b"-1",
    b"1e999",
]  # fmt: skip


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_config_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "c.yaml"
    for before in (b"", b"seq: ", b"variant: [", b"dim: "):
        path.write_bytes(before + data)
        check(lambda: request.merged({}, from_file(path)))


WORDS = st.text(max_size=40) | st.text("0123456789kMi.,:x+/!-*%~to ", max_size=40)


@given(WORDS)
def test_any_text_is_a_range_or_one_line(text: str) -> None:
    for grammar in (lengths, fractions, parse_bytes, parse_seconds):
        check(partial(grammar, text, "--option"))
