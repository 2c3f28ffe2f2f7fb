"""What cells are compared by."""

from typing import Literal

#: State is what decoding keeps between tokens; memory is the peak of a call.
Metric = Literal["latency", "memory", "state", "energy", "flops"]

#: What differs from one process to the next; the others are counts, or as good as counts.
NOISY: tuple[Metric, ...] = ("latency", "energy")
