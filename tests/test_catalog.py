"""The registry: names from files, cards from source text, classes only on demand."""

import dataclasses
import re
from pathlib import Path

import pytest

from effattn_cli import catalog, declared
from effattn_cli.attention import Decodable, FeedForward, Layer
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError

NAMES = catalog.bundled_names()
PLUGIN = '''
from effattn_cli.attention import Attention, Card

class Mine(Attention):
    """My own idea."""
    card = Card(title="Mine", families=("own",), paper="", year=2026, time="N", memory="N",
                causal="never", kind="own mechanism")
'''


@pytest.mark.parametrize("name", NAMES)
def test_what_the_source_says_is_what_the_class_has(name: str) -> None:
    read, loaded = Catalog().variant(name), catalog.load(name, kind=Layer)
    assert read.card == loaded.card
    assert read.decode == issubclass(loaded, Decodable | FeedForward)
    own = {
        f.name: f.default for f in dataclasses.fields(loaded.Config) if f.name in loaded.options()
    }
    assert {option.name: option.default for option in read.options} == own
    assert read.summary == (loaded.__doc__ or "").split("\n")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_well_formed(name: str) -> None:
    variant = Catalog().variant(name)
    assert variant.summary.endswith(".")
    assert len(variant.summary) <= 100
    assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", variant.card.paper)
    assert 2017 <= variant.card.year <= 2026
    assert variant.card.families
    decodes = variant.decode and variant.card.kind != "feed-forward"
    assert bool(variant.card.state) == decodes
    assert all(option.help for option in variant.options)
    shared = {"dim", "heads", "kv_heads", "head_dim"}  # given inline, these are the cell's
    assert not shared.intersection(option.name for option in variant.options)
    lines = Path(variant.path).read_text().splitlines()
    assert len(lines) <= 150


def test_what_else_the_field_calls_a_variant_belongs_to_it_alone() -> None:
    aliases = [alias for name in NAMES for alias in Catalog().variant(name).card.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(NAMES)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("flash-attention", "sdpa"), ("FlashAttention", "sdpa"), ("mqa", "gqa"),
        ("swa", "sliding-window"),
        ("sliding_window", "sliding-window"), ("LinearAttention", "linear-transformer"),
        ("moe", "switch-transformer"), ("bigbird", "big-bird"),
        ("transformer_xl", "transformer-xl"), ("linfomer", "linformer"),
        ("adaptive-sp", "adaptive-span"), ("quantum", None), ("zigzag", None), ("vq", None),
    ],
)  # fmt: skip
def test_a_word_leads_to_what_it_means_and_a_far_one_nowhere(word: str, name: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        Catalog().source(word)
    told = f"did you mean {name!r}?" if name else "effattn variants lists them"
    assert caught.value.hint == told


def test_a_file_and_a_folder_bring_plugins(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "_helper.py").write_text("")
    for path in (tmp_path, tmp_path / "mine.py"):
        found = Catalog([path])
        assert set(found.names()) == {*NAMES, "mine"}
        assert found.variant("mine").origin == str(path)
    assert catalog.load("mine", tmp_path / "mine.py").card.title == "Mine"


def test_two_with_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "linformer.py").write_text(PLUGIN)
    with pytest.raises(UsageError, match="two variants are named 'linformer'") as caught:
        Catalog([tmp_path])
    assert str(tmp_path / "linformer.py") in str(caught.value)
    assert "variants/linformer.py" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:", "invalid syntax"),
        ("x = 1", "expected one class with a card, found 0"),
        (PLUGIN.replace('"Mine"', "name()"), "name"),
        (PLUGIN.replace('"Mine"', "TITLE"), "'TITLE' in line 6 is not literal: write the value"),
        (PLUGIN.replace('"Mine"', "7"), "card: title: expected text, got 7"),
        (
            PLUGIN.replace('"never"', '"maybe"'),
            "causal: expected 'always' or 'never' or 'optional', got 'maybe'",
        ),
        (PLUGIN.replace('("own",)', '"own"'), "families: expected a list, got 'own'"),
        (PLUGIN.replace("Card(title", "dict(title"), r"card must be Card\(\.\.\.\)"),
        (PLUGIN.replace("card = Card(", "card = 3\n    other = Card("), "must be Card"),
        (
            PLUGIN + "    class Config:\n        k: int = LARGE\n",
            "'LARGE' in line 9 is not literal",
        ),
        (PLUGIN + "    class Config:\n        k: list = []\n", "default of k must be a number"),
        ("x = " + "(" * 10_000, "too many nested parentheses"),
        ("x = \0", "null bytes"),
        (PLUGIN.replace("year=2026, ", ""), "year"),
        (PLUGIN + PLUGIN.replace("Mine", "Other"), "expected one class with a card, found 2"),
    ],
)
def test_a_broken_plugin_harms_only_itself(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    found = Catalog([tmp_path])
    assert found.variant("linformer").card.title == "Linformer"
    with pytest.raises(BrokenPlugin, match=message):
        found.variant("mine")


FEED = '''
from effattn_cli.attention import Card, FeedForward

class Mine(FeedForward):
    """My own idea."""
    card = Card(title="Mine", families=("own",), paper="", year=2026, time="N", memory="N",
                causal="optional", kind="feed-forward")
'''


def test_a_feed_forward_is_a_kind_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FEED)
    assert Catalog([path]).variant("mine").decode
    assert issubclass(catalog.load("mine", path, kind=FeedForward), FeedForward)
    with pytest.raises(BrokenPlugin, match="'mine' is no Attention"):
        catalog.load("mine", path)
    path.write_text(FEED.replace("feed-forward", "own mechanism"))
    with pytest.raises(BrokenPlugin, match="a FeedForward, and no other, has the kind"):
        catalog.load("mine", path, kind=FeedForward)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown variant 'linfomer'") as caught:
        Catalog().source("linfomer")
    assert caught.value.hint == "did you mean 'linformer'?"


def test_a_changed_source_has_another_hash(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    before = Catalog([path]).variant("mine").code
    path.write_text(PLUGIN + "\n# changed\n")
    assert Catalog([path]).variant("mine").code != before


def test_the_hash_is_of_the_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "PARTS", tmp_path)
    texts = {
        "one": "from effattn_cli.parts.two import b",
        "two": "from effattn_cli.parts import (\n    one,\n    three,\n)",
        "three": "",
        "other": "",
    }

    def code(**changed: str) -> str:
        for name, text in (texts | changed).items():
            (tmp_path / f"{name}.py").write_text(text)
        declared._part.cache_clear()
        return declared.code("from effattn_cli.parts.one import a\nimport effattn_cli.parts.gone")

    before = code()
    assert code(other="changed") == before
    assert code(one=texts["one"] + " ") != before
    assert code(three="changed") != before
    declared._part.cache_clear()


def test_an_earlier_name_still_means_its_variant(tmp_path: Path) -> None:
    assert Catalog().source("local").name == "sliding-window"
    assert Catalog().variant("local").name == "sliding-window"
    (tmp_path / "local.py").write_text(PLUGIN)
    with pytest.raises(UsageError, match="two variants are named 'local'"):
        Catalog([tmp_path])
