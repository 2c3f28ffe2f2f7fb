"""The cells whose variants are trained in tiny models: small layers, causal where they can be."""

from msgspec import structs

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan.evaluation_request import EvaluationRequest
from effattn_cli.plan.variant_choices import Choice
from effattn_cli.records import Cell
from effattn_cli.setting import Setting

DIM, HEADS, BATCH = 64, 2, 64


def mixers(
    request: EvaluationRequest, choices: tuple[Choice, ...], catalog: Catalog
) -> tuple[Cell, ...]:
    """A cell for each choice. One thread, so that the same seed gives the same result.

    A variant that cannot be causal is trained without a mask. A choice may bring its own width and
    heads: `sdpa:heads=4`.
    """
    cells = []
    for choice in choices:
        causal = catalog.variant(choice.name).card.causal != "never"
        setting = Setting(
            phase="train", scope="layer", causal=causal, dim=DIM, heads=HEADS, batch=BATCH,
        )  # fmt: skip
        cells.append(
            Cell(variant=choice.name, options=choice.options, seq=request.tokens, setting=setting)
        )
    return tuple(cells)


def refuse_other_shapes(request: EvaluationRequest, tasks: tuple[str, ...]) -> None:
    """Where nothing but tiny models is asked for, and options that these have not.

    Raises:
        UsageError: `--heads`, say.
    """
    usual = EvaluationRequest()
    given = [name for name in ("seq", "regime", "qkv", "draws") if _differs(request, usual, name)]
    given += list(request.axes)
    if given and "fidelity" not in tasks:
        word = given[0].replace("_", "-")
        hint = "--tokens for longer sequences, `-v gla:heads=4` for other heads"
        raise UsageError(f"--{word} belongs to --task fidelity; tiny models have their own", hint)


def _differs(request: EvaluationRequest, usual: EvaluationRequest, name: str) -> bool:
    return bool(structs.asdict(request)[name] != structs.asdict(usual)[name])
