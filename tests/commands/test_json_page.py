"""docs/json.md says what the records say, and its commands print what stands there."""

import json
import re

import pytest

from benchmarks import json_page
from effattn_cli import errors
from effattn_cli.commands import check, choose, choose_model, compare, exit_codes
from effattn_cli.report.documents.kinds import KINDS
from tests.running import effattn

PAGE = json_page.DOCUMENT.read_text(encoding="utf-8")


def test_the_page_is_as_the_records_are() -> None:
    assert json_page.page(PAGE) == PAGE, "python -m benchmarks.json_page writes it anew"


def test_every_exit_code_is_told() -> None:
    own = {check.BROKEN, choose.NOTHING, choose_model.NOTHING, compare.BROKEN, exit_codes.SURPRISES}
    kinds = errors.EffattnError.__subclasses__()
    raised = {kind.exit_code for kind in kinds if kind.__module__.startswith("effattn_cli")}
    assert {0, 70} | own | raised == errors.EXIT_CODES.keys()


def test_every_key_of_a_document_of_ours_is_in_the_page() -> None:
    for kind in KINDS.values():
        section = re.split(r"\n##+ ", PAGE.partition(f"### {kind.key}\n")[2])[0]
        told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        assert told == {kind.key, *kind.record.__struct_fields__}


@pytest.mark.parametrize("typed", re.findall(r"^effattn ([^#\n]+)", PAGE, re.MULTILINE))
def test_the_commands_of_the_page_print_documents(typed: str) -> None:
    found = effattn(*typed.split())
    if "--json" in typed or typed.startswith("schema c"):
        assert isinstance(json.loads(found.stdout), dict)
    assert found.stdout


def test_the_error_of_the_page_is_the_one_that_is_printed() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(effattn("show", "nobody", "--json").stdout) == json.loads(shown)
