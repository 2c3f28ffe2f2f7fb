"""What a layer keeps between two tokens of decoding."""

from effattn_cli.attention import Decodable, Layer, Unsupported
from effattn_cli.attention.decodable import tensors_of
from effattn_cli.records import Cell


def kept_bytes(layer: Layer, cell: Cell) -> int | None:
    """After the cell's tokens, of its whole batch; None where the layer is not causal, or cannot
    decode.
    """
    if not layer.causal or not isinstance(layer, Decodable):
        return None
    try:
        state = layer.init_state(cell.setting.batch, cell.seq)
    except Unsupported:
        return None
    return sum(tensor.nbytes for tensor in tensors_of(state))
