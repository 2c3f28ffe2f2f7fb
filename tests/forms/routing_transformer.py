from tests.forms.work import Case, Work, attention, ceil, scores, triangle

OPTIONS = {"clusters": 48}


def form(case: Case) -> Work:
    """C centres choose N / C queries and keys each (causal: both at once)."""
    clusters = case.options.clusters
    W = ceil(case.tokens, clusters)
    choosing = scores(case.tokens * clusters, learn=0)
    if case.causal:
        return choosing + attention(clusters * triangle(W))
    return 2 * choosing + attention(clusters * W**2)
