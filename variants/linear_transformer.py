"""Linear Transformer: attention as a product of positive feature maps."""

from typing import final

from torch import Tensor
from torch.nn.functional import elu

from effattn_cli.attention import Card, SurveyRow
from effattn_cli.parts.chunked import DecodableKernel


@final
class LinearTransformer(DecodableKernel):
    """Replaces softmax with positive feature maps of q and k, so that k and v are summed first.

    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1) with phi(x) = elu(x) + 1
    (Transformers are RNNs, Katharopoulos et al. 2020, arXiv:2006.16236). The causal form runs in
    chunks; a decoding step updates a K x K state, however long the context is.
    """

    card = Card(
        title="Linear Transformer",
        families=("kernel", "linear"),
        paper="arXiv:2006.16236",
        year=2020,
        time="N",
        memory="N",
        state="1",
        causal="optional",
        kind="own mechanism",
        aliases=("linear", "elu"),
        survey=SurveyRow(complexity="N", decode=True, classes="KR"),
        lra=50.55,
        notes=("1e-6 is added to the denominator, as the authors' code has it",),
    )

    epsilon = 1e-6

    def __init__(self, config: DecodableKernel.Config) -> None:
        super().__init__(config)
        self.width = self.head_dim

    def query(self, q_BHTK: Tensor) -> Tensor:
        return elu(q_BHTK).add_(1)

    def key(self, k_BHTK: Tensor) -> Tensor:
        return elu(k_BHTK).add_(1)
