"""The mixer that effattn's own layer of a variant is, by its name and widths."""

from collections.abc import Mapping
from functools import cache

from effattn_cli.architecture import Mixer
from effattn_cli.cards import Stored
from effattn_cli.catalog import Catalog, bundled_names
from effattn_cli.errors import UsageError, unknown
from effattn_cli.models.mixers import exact, indexed, recurrent
from effattn_cli.models.mixers.widths import Formula, Widths

FORMULAS: Mapping[str, Formula] = {**exact.FORMULAS, **indexed.FORMULAS, **recurrent.FORMULAS}
#: Options of what is between projection and core, which a core has none of.
OF_PROJECTIONS = frozenset({"rotary", "rotary_base", "qk_norm", "log_scale"})


def named(
    variant: str,
    options: Mapping[str, Stored],
    dim: int,
    heads: int,
    kv_heads: int | None = None,
    head_dim: int | None = None,
) -> Mixer:
    """The causal layer of a variant: as many parameters, and as much kept, as when it is built.

    Options that are not given have their defaults, and so have `kv_heads` and `head_dim`. Weights
    of an index, which learn by a loss of their own, count as parameters.

    Raises:
        UsageError: there is no such variant or option, its weights are not known by a formula, or
            heads and widths do not go together.
    """
    formula = _formula(variant)
    every = defaults(variant)
    for name in options:
        if name not in every:
            raise unknown(f"option of {variant}", name, every)
    kv_heads = kv_heads or _most_shared(heads, formula.share)
    if heads % kv_heads:
        raise UsageError(f"{variant}: {heads} heads are not a multiple of {kv_heads} kv heads")
    if head_dim is None and dim % heads:
        raise UsageError(f"{variant}: dim {dim} is not a multiple of {heads} heads")
    head_dim = head_dim or dim // heads
    widths = Widths(
        dim=dim, heads=heads, kv_heads=kv_heads, head_dim=head_dim, options={**every, **options}
    )
    parameters, keeps = formula.half(widths)
    return Mixer(
        kind=formula.kind, variant=variant, options=dict(options), heads=heads, kv_heads=kv_heads,
        head_dim=head_dim, parameters=parameters, keeps=keeps,
    )  # fmt: skip


def _formula(variant: str) -> Formula:
    if variant in FORMULAS:
        return FORMULAS[variant]
    if variant in bundled_names():
        names = ", ".join(sorted(FORMULAS))
        raise UsageError(f"there is no formula for the weights of {variant!r}", f"known: {names}")
    raise unknown("variant", variant, FORMULAS)


@cache
def defaults(variant: str) -> Mapping[str, Stored | None]:
    """The options of a bundled variant, each with its default."""
    return {option.name: option.default for option in Catalog().variant(variant).options}


def of_projections(mixer: Mixer) -> Mapping[str, Stored]:
    """What a mixer does to queries and keys between projection and core, as its options say it."""
    usual = defaults(mixer.variant)
    return {
        name: value
        for name, value in mixer.options.items()
        if name in OF_PROJECTIONS and value != usual[name]
    }


def _most_shared(heads: int, share: int) -> int:
    """The most kv heads that divide the heads and are shared by so many of them at least."""
    return max((n for n in range(1, heads // share + 1) if heads % n == 0), default=1)
