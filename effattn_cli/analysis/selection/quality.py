"""What a swap takes, and what speaks for its quality: the evidence that a choice goes by.

Of evidence there are four kinds. Scores that the user has entered decide. Exact attention needs
none: it is the same function of the same weights. Of what keeps a model's weights the measured
error decides, as far as the intervals do not meet; what tiny models learned with it is held to as a
limit, and shown. Published Long Range Arena averages are shown, and decide only by more than they
are unsure of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from effattn_cli.analysis.selection.evidence import Finding, Task
from effattn_cli.cards import Swap, Value, Variant
from effattn_cli.setting import Setting

SOURCE = "arXiv:2011.04006, Table 1"
#: Points of a Long Range Arena average that say nothing. Each is a single number, of one run with
#: one set of hyperparameters, without a spread; later work moved the same models by several points
#: through initialisation and tuning alone, and the best and the worst efficient one are nine apart.
SPREAD = 2.0
#: Relative error of an output from which on nobody should put it into a trained model: half of what
#: giving nothing at all would be off by.
USELESS = 0.5
#: Tokens. A mechanism in which a query sees fewer does not stand in the place of attention, but
#: beside it: through a hundred layers of three tokens no more than 201 can be seen.
NARROW = 16
INFINITY = float("inf")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The evidence on a variant with its options, in one setting."""

    swap: Swap
    checked: bool  # held to that by effattn's own tests; else only its card says so
    deployed: bool  # in models that are released
    sees: int | None  # tokens that a query sees at most; None: all
    causal: bool  # the setting is
    lra: float | None  # the average, in percent
    usual: bool  # every option is as the authors have it
    score: float | None = None  # the user's own, of this label: more is better
    measured: Mapping[Task, Finding] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Known to be the same function; who only claims it has still to be checked."""
        return self.swap == "exact" and self.checked

    @property
    def keeps_weights(self) -> bool:
        return self.swap != "trained"

    @property
    def error(self) -> Finding | None:
        """How far the output is from that of exact attention; None where that is not known, or
        says nothing: a model that is trained with it does not miss the other function.
        """
        return self.measured.get("fidelity") if self.keeps_weights else None

    @property
    def is_useless(self) -> bool:
        """Whether it is surely too far off for a trained model's weights."""
        return self.error is not None and self.error.low > USELESS

    def published(self, *, training: bool) -> float | None:
        """The published score, where it speaks of this: it is of encoders, with the authors'
        options, that were trained with the variant. Of a trained model's weights under another
        attention it says nothing.
        """
        applies = self.usual and not self.causal and (training or not self.keeps_weights)
        return self.lra if applies else None

    def simplicity(self, *, training: bool) -> tuple[bool | int, ...]:
        """Sorts what costs and risks least first: nothing, or no training; then a mechanism that
        sees all tokens, one that something is known of, one that released models use. Weights are
        not kept by what makes them useless.
        """
        if self.exact:
            return (0,)
        has_evidence = bool(self.measured) or self.published(training=training) is not None
        if self.keeps_weights and not training:
            return (3 if self.is_useless else 1, not has_evidence, not self.deployed)
        return (2, self.sees is not None, not self.deployed, not has_evidence)

    def at_least(self, other: "Quality", *, training: bool) -> bool:
        """Whether nothing says that it is worse."""
        if self.score is not None and other.score is not None:
            return self.score >= other.score
        if self.exact:
            return True
        if other.exact or (other.score is not None and self.score is None):
            return False
        if self._lacks(other, training=training):
            return False
        mine, theirs = (one.published(training=training) for one in (self, other))
        return mine is None or theirs is None or mine >= theirs - SPREAD

    def _lacks(self, other: "Quality", *, training: bool) -> bool:
        """Whether it is surely worse in something that was measured, or sees less, or is not known
        to be as good.
        """
        counts = {task for task in other.measured if task != "fidelity" or not training}
        mine, theirs = self.measured, other.measured
        worse = (task not in mine or mine[task].worse_than(theirs[task]) for task in counts)
        sees_less = (self.sees or INFINITY) < (other.sees or INFINITY)
        useless = self.is_useless and not training and not other.is_useless
        return any(worse) or sees_less or useless


def quality(
    variant: Variant,
    options: Mapping[str, Value],
    setting: Setting,
    score: float | None = None,
) -> Quality:
    given = setting.kv_heads is not None
    return Quality(
        swap=variant.swap(options, causal=setting.causal, kv_heads=given),
        checked=variant.plugin is None,
        deployed=bool(variant.card.deployed),
        sees=variant.sees(options),
        causal=setting.causal,
        lra=variant.card.lra,
        usual=not options,
        score=score,
    )
