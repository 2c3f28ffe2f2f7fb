"""Which of torch's attention kernels decoding uses on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.backends import cuda


@contextmanager
def of_decoding() -> Iterator[None]:
    """Without cuDNN's attention, unless it is the only fused kernel that is allowed.

    It prepares a plan for each number of keys that it has not seen yet, which takes up to half a
    second: in decoding that is every step. With several queries a key-value head it also does not
    split the keys, so that few multiprocessors work.
    """
    others = cuda.flash_sdp_enabled() or cuda.mem_efficient_sdp_enabled()
    if not (cuda.cudnn_sdp_enabled() and others):
        yield
        return
    cuda.enable_cudnn_sdp(enabled=False)
    try:
        yield
    finally:
        cuda.enable_cudnn_sdp(enabled=True)
