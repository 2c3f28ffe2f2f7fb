"""Which variants take long to count."""

#: Thousands of small operators, each counted; their closed forms are held to at 8192 tokens.
LONG_TO_COUNT = {
    "block-indexed", "csa", "dsa", "gdn2", "gla", "hgrn2", "kda", "mamba", "mamba3", "moba", "nsa",
    "rwkv7", "sinkhorn-transformer", "synthesizer",
}  # fmt: skip
