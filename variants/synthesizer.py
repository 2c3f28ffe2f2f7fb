"""Synthesizer: attention weights that do not compare tokens."""

from dataclasses import dataclass, replace
from functools import partial
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported, repeat_kv
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.rows import by_rows

TERMS = ("dense", "random", "fixed-random", "factorised-dense", "factorised-random", "dot")


@final
class Synthesizer(Decodable[Cache]):
    """Predicts each row of attention weights from its token, or learns it once for all inputs.

    out = softmax(B) v with B_i = W_2 relu(q_i) + b_2 (dense), B = R (random, learned or fixed),
    B = R_1 R_2^T of rank k, or B_i the outer product of two short dense rows (factorised); a
    mixture is a learned average of terms (Synthesizer, Tay et al. 2021, arXiv:2005.00743).
    """

    card = Card(
        title="Synthesizer",
        families=("low-rank", "learnable-pattern"),
        paper="arXiv:2005.00743",
        year=2020,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        survey=SurveyRow(complexity="N^2", decode=True, classes="LR+LP"),
        lra=52.88,
        notes=(
            "the projection of the query is the first layer of a dense term, without a bias",
            "logits are made a block of queries at a time; training keeps all N x N",
            "rows are made for the longest sequence; a shorter one uses their first columns",
            "the two factors of a dense row are the nearest to the root of its length",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        logits: str = "dense"
        """Terms joined by +: dense, random, fixed-random, factorised-dense, factorised-random, dot
        (that of queries and keys); as dense+dot or random+dense."""
        rank: int = 8
        """Rank of the factorised random term (k in the paper)."""

    def __init__(self, config: Config) -> None:
        self.terms = _terms(config.logits)
        if config.rank < 1:
            raise Unsupported(f"rank {config.rank} is below 1")
        super().__init__(config)
        # Position j is column j % columns of one factor and j // columns of the other.
        self.columns = round(config.tokens**0.5)
        for term in self.terms:
            for name, shape in self._shapes(term, config.tokens, config.rank).items():
                made = torch.randn(self.heads, *shape).mul_(shape[-2] ** -0.5)
                learned = term != "fixed-random"
                self.register_parameter(name, nn.Parameter(made, requires_grad=learned))
        self.shares = nn.Parameter(torch.zeros(len(self.terms))) if len(self.terms) > 1 else None

    def _shapes(self, term: str, tokens: int, rank: int) -> dict[str, tuple[int, int]]:
        """Shapes of a term's weights, without heads; in dense ones the last row is the bias."""
        width = self.head_dim + 1
        return {
            "dense": {"dense_HLN": (width, tokens)},
            "random": {"random_HNN": (tokens, tokens)},
            "fixed-random": {"fixed_HNN": (tokens, tokens)},
            "factorised-random": {"left_HNR": (tokens, rank), "right_HRN": (rank, tokens)},
            "factorised-dense": {
                "inner_HLA": (width, self.columns),
                "outer_HLB": (width, -(-tokens // self.columns)),
            },
        }.get(term, {})

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        read = {"v", "out"} | ({"k"} if "dot" in self.terms else set())
        if any(term == "dot" or term.endswith("dense") for term in self.terms):
            read.add("q")
        return {name: x for name, x in super().make_projections(dim).items() if name in read}

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        """The values stand in for queries or keys that nothing reads."""
        read = [name for name in self.inputs if name in self.projections]
        made = {name: self.split(name, self.projections[name](x_BTD)) for name in read}
        v_BGTK = made["v"]
        q_BHTK = made["q"] if "q" in made else repeat_kv(v_BGTK, self.heads)
        return q_BHTK, made.get("k", v_BGTK), v_BGTK

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return by_rows(
            q_BHTK, k_BHTK, v_BHTK, valid_BT,
            causal=self.causal, logits=self._logits, weigh=partial(torch.softmax, dim=-1),
        )  # fmt: skip

    def init_state(self, batch: int, context: int) -> Cache:
        state = Cache.init(self, batch, context, heads=self.heads)
        return state if "dot" in self.terms else replace(state, k_BGRK=state.v_BGRK[..., :0])

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        at = state.length
        state = state.append(k_BHK[..., : state.k_BGRK.shape[-1]], v_BHK)
        k_BHSK, v_BHSK = state.k_BGRK[:, :, : at + 1], state.v_BGRK[:, :, : at + 1]
        logits_BHxS = self._logits(q_BHK.unsqueeze(2), k_BHSK, at)
        return (logits_BHxS.softmax(-1) @ v_BHSK).squeeze(2), state

    def _logits(self, q_BHCK: Tensor, k_BHSK: Tensor, first: int) -> Tensor:
        """The rows of these queries, from row `first` on; (1, H, C, S) if no token is read."""
        seen = k_BHSK.shape[2]
        rows = slice(first, first + q_BHCK.shape[2])
        logits = [self._term(term, q_BHCK, k_BHSK, rows, seen) for term in self.terms]
        if self.shares is None:
            return logits[0]
        shares = self.shares.softmax(0)
        return sum((x * shares[i] for i, x in enumerate(logits[1:], 1)), logits[0] * shares[0])

    def _term(self, term: str, q_BHCK: Tensor, k_BHSK: Tensor, rows: slice, seen: int) -> Tensor:
        weights = [self.get_parameter(name) for name in self._shapes(term, 1, 1)]
        if term == "dot":
            return (q_BHCK * self.head_dim**-0.5) @ k_BHSK.mT
        if term == "factorised-random":
            return (weights[0][:, rows] @ weights[1][:, :, :seen])[None]
        if not term.endswith("dense"):
            return weights[0][None, :, rows, :seen]
        hidden_BHCL = pad(q_BHCK.relu(), (0, 1), value=1.0)
        if term == "dense":
            return hidden_BHCL @ weights[0][:, :, :seen]
        inner_BHCA, outer_BHCB = hidden_BHCL @ weights[0], hidden_BHCL @ weights[1]
        return (outer_BHCB[..., None] * inner_BHCA[..., None, :]).flatten(-2)[..., :seen]


def _terms(logits: str) -> tuple[str, ...]:
    terms = tuple(logits.split("+"))
    for term in terms:
        if term not in TERMS:
            raise Unsupported(f"logits {term!r} is none of {', '.join(TERMS)}")
    if len(set(terms)) < len(terms):
        raise Unsupported(f"logits {logits!r} names a term twice")
    return terms
