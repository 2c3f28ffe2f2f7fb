"""Feed-forwards as they are typed."""

import pytest

from effattn_cli import feeds
from effattn_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("relu", "relu feed-forward"),
        ("swiglu:14336", "swiglu 14336 feed-forward"),
        ("SwiGLU:768*128/8", "swiglu 768, 8 of 128 experts feed-forward"),
        ("swiglu:768*128/8+768", "swiglu 768, 8 of 128 experts and 768 shared feed-forward"),
        ("none", "no feed-forward"),
    ],
)
def test_what_is_typed_is_read_and_written_as_it_was(text: str, words: str) -> None:
    (read,) = feeds.checked(text)
    assert read == text.lower()
    assert feeds.words(read) == words


def test_a_list_names_each_once() -> None:
    assert feeds.checked("relu, swiglu:8,relu") == ("relu", "swiglu:8")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("swigloo:8", "unknown activation 'swigloo'"),
        ("swiglu:", "--feed: 'swiglu:' is no feed-forward"),
        ("swiglu:0", "--feed: 0 hidden units are out of range, from 1 to 16777216"),
        ("swiglu:8*4/5", "--feed: a token cannot meet 5 of 4 experts"),
        ("swiglu:8*4", "--feed: 'swiglu:8*4' is no feed-forward"),
    ],
)
def test_what_is_none_is_refused(text: str, error: str) -> None:
    with pytest.raises(UsageError, match="^" + error.replace("*", r"\*") + "$"):
        feeds.checked(text)
