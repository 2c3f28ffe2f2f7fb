from tests.forms.work import Case, H, K, Work, at_least, attention, product, scores, window


def form(case: Case) -> Work:
    """Blocks that have ended, scored once to attend and, where there is a choice, once to choose;
    the blocks selected; the window; and the MLPs, for two kv heads.
    """
    options, N = case.options, case.tokens
    S, C, positions = options.compressed, options.block, range(case.tokens)
    ended = [max(0, (t + 1 - S) // options.stride + 1) for t in positions]
    selected = sum(t % C + 1 + min(t // C, options.top - 1) * C for t in positions)
    choosing = sum(ended[options.top * C :])
    made = ended[-1]
    mlp = 2 * (H // 4) * (product(made, S * K, K) + product(made, K, K))
    pairs = sum(ended) + selected + window(N, options.window - 1, 0)
    return at_least(mlp + attention(pairs) + scores(choosing, learn=0))
