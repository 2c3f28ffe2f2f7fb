"""A model with one mixer and as little else as a task allows, to test the mixer itself."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from effattn_cli.attention import FeedForward, Layer
from effattn_cli.errors import Unsupported
from effattn_cli.evaluate.task_specs import Task
from effattn_cli.evaluate.tasks import NOT_ASKED, Batch
from effattn_cli.measure import modules
from effattn_cli.records import Cell

POSITIONS = 8  # dimensions of an embedding that encode the position


class TinyModel(nn.Module):
    """Fixed embeddings, a norm, the mixer with a residual, a norm, and a head at asked positions.

    An embedding concatenates that of the key, that of the value and, if the task has positions,
    sines and cosines of the token's position, the same for every mixer. A mixer adds no positions
    of its own, unless one of its options does.

    Raises:
        Unsupported: the variant mixes no tokens, or those of another layer, or cannot be made as
            the cell asks.
    """

    def __init__(self, task: Task, variant: type[Layer], cell: Cell) -> None:
        super().__init__()
        if issubclass(variant, FeedForward):
            raise Unsupported(f"{variant.card.title} mixes no tokens")
        if variant.card.borrows:
            raise Unsupported(f"{variant.card.title} reads the cache of a layer that is not here")
        if task.is_prefix and not cell.setting.causal:
            raise Unsupported(f"{task.name} asks after each token: it needs a causal mask")
        dim = cell.setting.dim
        positions = POSITIONS if task.positions else 0
        width = (dim - positions) // 2
        tables = _pairs(task.symbols, width), _with_none(_sphere(task.values, width))
        self.keys_SE: Tensor
        self.values_SE: Tensor
        self.positions_TE: Tensor
        self.register_buffer("keys_SE", tables[0])
        self.register_buffer("values_SE", tables[1])
        self.register_buffer("positions_TE", _waves(cell.seq, positions))
        self.norm_in, self.norm_out = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mixer = variant(modules.config(variant, cell))
        self.head = nn.Linear(dim, task.values)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (N, classes) of the answers that are asked for, in the order of the labels.

        Raises:
            Unsupported: the mixer gives another number of tokens than it takes.
        """
        x_BTD = self.embed(batch)
        y_BTD = self.mixer(self.norm_in(x_BTD))
        if y_BTD.shape != x_BTD.shape:
            title = self.mixer.card.title
            raise Unsupported(f"{title} gives another number of tokens than it takes")
        x_ND = (x_BTD + y_BTD)[batch.labels_BT != NOT_ASKED]
        logits: Tensor = self.head(self.norm_out(x_ND))
        return logits

    def embed(self, batch: Batch) -> Tensor:
        """(B, T, dim), the key's, the value's and the position's side by side."""
        B, T = batch.keys_BT.shape
        position_BTE = self.positions_TE[:T].expand(B, -1, -1)
        parts = self.keys_SE[batch.keys_BT], self.values_SE[batch.values_BT], position_BTE
        return torch.cat(parts, dim=-1)


def _pairs(symbols: int, width: int) -> Tensor:
    """An embedding for each ordered pair of symbols: that of the first, then that of the second."""
    first = _sphere(symbols, width // 2).repeat_interleave(symbols, dim=0)
    second = _sphere(symbols, width - width // 2).repeat(symbols, 1)
    return _with_none(torch.cat([first, second], dim=1))


def _waves(tokens: int, numbers: int) -> Tensor:
    """Position embeddings (T, E) as in Vaswani et al. 2017 (arXiv:1706.03762), with periods of 16,
    64, 256 and 1024 tokens; scaled like the other parts.
    """
    period_E = 16.0 * 4 ** torch.arange(numbers // 2)
    angle_TE = 2 * math.pi * torch.arange(tokens)[:, None] / period_E
    return math.sqrt(2) * torch.cat([angle_TE.sin(), angle_TE.cos()], dim=1)


def _sphere(number: int, width: int) -> Tensor:
    """Vectors drawn uniformly from a sphere, whose components have a mean square of 1."""
    return normalize(torch.randn(number, width), dim=-1) * width**0.5


def _with_none(table_SE: Tensor) -> Tensor:
    """Prepends a row of zeros, for tokens without such a part."""
    return torch.cat([torch.zeros(1, table_SE.shape[1]), table_SE])
