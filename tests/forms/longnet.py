from tests.forms.work import Case, H, K, Work, at_least, cut_up, triangle


def form(case: Case) -> Work:
    """Of each segment a head sees its share, which is the whole where the stride is 1."""
    options, pairs = case.options, 0
    segment, stride = options.segment, 1
    while True:
        for length in cut_up(case.tokens, segment):
            for head in range(H):
                picked = len(range(head % stride, length, stride))
                pairs += triangle(picked) if case.causal else picked**2
        if segment >= options.tokens:
            break
        segment, stride = segment * options.growth, stride * options.growth
    return at_least(Work(4 * K * pairs, 10 * K * pairs))
