"""Which variants and options the words of --variant stand for."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.cards import Card, Option, SurveyRow, Value, Variant
from effattn_cli.catalog import BrokenPlugin, Catalog, Source
from effattn_cli.errors import UsageError
from effattn_cli.plan.variant_choices import Choice, select
from effattn_cli.records import Cell

SHARING = Option(name="sharing", type="Literal['none', 'headwise']", default="headwise")
RANK = Option(name="rank", type="int", default=256)
OPTIONS = {
    "linformer": (RANK, SHARING),
    "linear": (
        Option(name="scale", type="float | None", default=None),
        Option(name="window", type="int | None", default=64),
        Option(name="norm", type="bool", default=True),
        Option(name="kernel", type="str", default="elu"),
    ),
    "softmax": (),
    "sparse-one": (Option(name="blocks", type="tuple[int, ...]", default=None),),
}
FAMILIES = {
    "linformer": ("low-rank",),
    "linear": ("kernel",),
    "softmax": ("exact",),
    "sparse-one": ("sparse", "kernel"),
}


class Shelf(Catalog):
    """A catalogue without files; `rotten` is there, but cannot be read."""

    def __init__(self) -> None:
        self._sources = {name: Source(name, Path()) for name in [*OPTIONS, "rotten"]}

    def variant(self, name: str) -> Variant:
        if self.source(name).name == "rotten":
            raise BrokenPlugin("rotten.py: expected one class with a card, found 0")
        card = Card(
            title=name,
            families=FAMILIES[name],
            paper="",
            year=2020,
            time="N",
            memory="N",
            causal="optional",
            kind="exact",
            deployed=("A model",) if name == "softmax" else (),
            survey=SurveyRow(complexity="N", decode=False, classes="LR") if "lin" in name else None,
        )
        return Variant(
            name=name,
            summary="",
            card=card,
            decode=False,
            options=OPTIONS[name],
            origin="bundled",
            path="",
            code="",
        )


def chosen(*words: str) -> list[tuple[str, dict[str, Value]]]:
    return [(choice.name, dict(choice.options)) for choice in select(words, Shelf())]


def names(*words: str) -> list[str]:
    return [choice.name for choice in select(words, Shelf())]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], []),
        (["softmax"], ["softmax"]),
        (["softmax, linear"], ["softmax", "linear"]),
        (["softmax", "linear,softmax"], ["softmax", "linear"]),
        (["lin*"], ["linear", "linformer"]),
        (["linformer,lin*"], ["linformer", "linear"]),
        (["*[tx]"], ["softmax"]),
        (["family:kernel"], ["linear", "sparse-one"]),
        (["survey"], ["linear", "linformer"]),
        (["deployed"], ["softmax"]),
        (["deployed,linear"], ["softmax", "linear"]),
        (["all"], ["linear", "linformer", "softmax", "sparse-one"]),
        (["all,!family:kernel"], ["linformer", "softmax"]),
        (["!softmax", "all,!lin*"], ["sparse-one"]),
    ],
)
def test_names(words: Sequence[str], found: list[str]) -> None:
    assert names(*words) == found


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("linformer:rank=64", [("linformer", {"rank": 64})]),
        ("linformer:rank=64,128", [("linformer", {"rank": 64}), ("linformer", {"rank": 128})]),
        ("linformer:rank=64,rank=128", [("linformer", {"rank": n}) for n in (64, 128)]),
        ("linformer:rank=256,sharing=headwise", [("linformer", {})]),
        ("linformer:rank=64,softmax", [("linformer", {"rank": 64}), ("softmax", {})]),
        (
            "linformer:sharing=none,rank=64,128,linear:norm=no",
            [
                ("linformer", {"rank": 64, "sharing": "none"}),
                ("linformer", {"rank": 128, "sharing": "none"}),
                ("linear", {"norm": False}),
            ],
        ),
        (
            "linformer:sharing=none,headwise",
            [("linformer", {"sharing": "none"}), ("linformer", {})],
        ),
        ("linear:scale=none,0.5", [("linear", {}), ("linear", {"scale": 0.5})]),
        ("linear:kernel=relu,exp", [("linear", {"kernel": word}) for word in ("relu", "exp")]),
        ("linear:kernel=relu,softmax", [("linear", {"kernel": "relu"}), ("softmax", {})]),
        ("linear:kernel=relu,lin*", [("linear", {"kernel": "relu"}), ("linear", {}),
                                     ("linformer", {})]),
        ("softmax:kv-heads=1,2", [("softmax", {"kv_heads": 1}), ("softmax", {"kv_heads": 2})]),
        ("linformer:dim=64,rank=8", [("linformer", {"rank": 8, "dim": 64})]),
        ("linformer:rank=64,128,!linformer:rank=64", [("linformer", {"rank": 128})]),
        ("linformer:rank=64,softmax,!linformer", [("softmax", {})]),
        ("linformer:rank=-1", [("linformer", {"rank": -1})]),
    ],
)  # fmt: skip
def test_options(word: str, found: list[tuple[str, dict[str, Value]]]) -> None:
    assert chosen(word) == found


def test_options_come_in_one_order_and_type() -> None:
    for word in ("linformer:sharing=none,rank=8", "linformer:rank=8,sharing=none"):
        (choice,) = select([word], Shelf())
        assert list(choice.options) == ["rank", "sharing"]
    (choice,) = select(["linear:scale=1"], Shelf())
    assert type(choice.options["scale"]) is float


@pytest.mark.parametrize(
    ("word", "says", "hint"),
    [
        ("linforme", "unknown variant 'linforme'", "did you mean 'linformer'?"),
        ("zz*", "unknown variant 'zz*'", "valid: linear, linformer, rotten, softmax, sparse-one"),
        ("family:kernels", "unknown family 'kernels'", "did you mean 'kernel'?"),
        ("linformre:rank=1", "unknown variant 'linformre'", "did you mean 'linformer'?"),
        ("linformer:rnak=1", "unknown option of linformer 'rnak'", "did you mean 'rank'?"),
        ("linformer:rank=8,shring=none", "unknown option of linformer 'shring'",
         "did you mean 'sharing'?"),
        ("linformer:rank=many", "unknown value of linformer:rank 'many'",
         "rank is int, 256 by default"),
        ("linformer:rank=1.5", "unknown value of linformer:rank '1.5'",
         "rank is int, 256 by default"),
        ("linformer:rank=", "unknown value of linformer:rank ''", "rank is int, 256 by default"),
        ("linformer:rank=none", "unknown value of linformer:rank 'none'",
         "rank is int, 256 by default"),
        ("linformer:sharing=headwide", "unknown value of linformer:sharing 'headwide'",
         "did you mean 'headwise'?"),
        ("linformer:sharing=none,headwide",
         "unknown variant or sharing of linformer 'headwide'", "did you mean 'headwise'?"),
        ("linear:norm=maybe", "unknown value of linear:norm 'maybe'", "valid: false, true"),
        ("linear:scale=nan", "unknown value of linear:scale 'nan'", "scale is float | None"),
        ("linear:scale=half", "unknown value of linear:scale 'half'", "scale is float | None"),
        ("linear:window=none", "unknown value of linear:window 'none'",
         "window is int | None, 64 by default"),
        ("linear:kernel=", "unknown value of linear:kernel ''", "kernel is str, elu by default"),
        ("softmax:heads=0", "unknown value of softmax:heads '0'", "heads is positive int"),
        ("sparse-one:blocks=1", "unknown value of sparse-one:blocks '1'",
         "blocks is tuple[int, ...]"),
        ("linformer:rank", "option 'rank' of linformer has no value",
         "write 'linformer:rank=...'"),
        ("linformer:causal=true", "'causal' is not an option of linformer alone",
         "give --causal, for all variants"),
        ("linformer:tokens=8", "'tokens' is not an option of linformer alone",
         "give --seq, for all variants"),
        ("rank=64", "the option 'rank=64' belongs to no variant", None),
        ("linformer,rank=64", "the option 'rank=64' belongs to no variant",
         "did you mean 'linformer:rank=64'?"),
        ("softmax,,linear", "the name of a variant is missing in 'softmax,,linear'", None),
        ("", "the name of a variant is missing in ''", None),
        ("softmax,!softmax", "no variant is left of 'softmax,!softmax'", None),
        ("!softmax", "no variant is left of '!softmax'", None),
    ],
)  # fmt: skip
def test_says_what_is_wrong(word: str, says: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(word)
    assert str(caught.value) == says
    assert caught.value.hint == hint


def test_a_broken_plugin_harms_only_who_names_it() -> None:
    assert "rotten" not in names("all", "*", "survey")
    with pytest.raises(BrokenPlugin, match=r"rotten\.py"):
        chosen("softmax,rotten")


def test_combinations_have_a_limit() -> None:
    many = ",".join(map(str, range(1, 102)))
    with pytest.raises(UsageError, match="'linformer' stands for more than 10,000 choices"):
        chosen(f"linformer:rank={many},dim={many}")


@given(
    st.lists(st.integers(1, 512), min_size=1, max_size=4),
    st.lists(st.sampled_from(["none", "headwise"]), min_size=1),
)
def test_a_label_selects_what_it_names(ranks: list[int], sharings: list[str]) -> None:
    word = f"linformer:rank={','.join(map(str, ranks))},sharing={','.join(sharings)}"
    found = select([word], Shelf())
    assert len(found) == len(set(ranks)) * len(set(sharings))
    for choice in found:
        label = Cell(variant=choice.name, options=choice.options, seq=1).label
        assert select([label], Shelf()) == (choice,)


@given(st.text("linear:kfmsoxp=,!*[]?-01. ", max_size=30))
def test_any_word_gives_choices_or_an_error_for_the_user(word: str) -> None:
    try:
        found = select([word], Shelf())
    except UsageError:
        return
    assert found
    assert all(isinstance(choice, Choice) for choice in found)


def test_reads_the_bundled_variants() -> None:
    found = select(["linformer:rank=64,sharing=key-value,sdpa:backend=math"], Catalog())
    assert [dict(choice.options) for choice in found] == [
        {"rank": 64, "sharing": "key-value"},
        {"backend": "math"},
    ]
