"""The counted FLOPs of every bundled variant are those of its closed form, to the last one.

Lengths: 2304 is 48 x 48 and holds nine blocks of 256, so that few blocks are filled up; 1500 and
1000 leave a rest almost everywhere.
"""

import pytest

from effattn_cli import catalog, laws
from effattn_cli.attention import Layer
from effattn_cli.measure.count import count
from effattn_cli.measure.subject import config
from effattn_cli.records import Cell, Cost, Phase
from tests.forms import FORMS
from tests.forms.work import Case, Work

NAMES = catalog.bundled_names()
LENGTHS: dict[Phase, tuple[int, ...]] = {"forward": (2304, 1500), "train": (1000,)}


def counted_and_stated(name: str, *, tokens: int, causal: bool, phase: Phase) -> tuple[Cost, Work]:
    variant = catalog.load(name, kind=Layer)
    cell = Cell(variant=name, seq=tokens, causal=causal, phase=phase)
    case = Case(tokens, causal, phase == "train", config(variant, cell))
    return count(variant, cell).cost, FORMS[name](case)


def test_every_variant_has_a_form() -> None:
    assert sorted(FORMS) == NAMES


@pytest.mark.parametrize("phase", LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_products_are_those_of_the_form(name: str, phase: Phase) -> None:
    for causal in laws.modes(catalog.load(name, kind=Layer)):
        for tokens in LENGTHS[phase]:
            cost, work = counted_and_stated(name, tokens=tokens, causal=causal, phase=phase)
            want = work.forward + (work.backward if phase == "train" else 0)
            assert cost.matmul_flops == want, (causal, tokens)
