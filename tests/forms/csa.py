from tests.forms.work import Case, Work, at_least, attention, window


def form(case: Case) -> Work:
    """The last W rows and N entries at most; before there are more, no indexer is needed.

    A choice has no gradient.
    """
    options, T = case.options, case.tokens
    before = [(t + 1) // options.ratio for t in range(T)]
    chosen = sum(min(entries, options.top) for entries in before)
    rated = sum(entries for entries in before if entries > options.top)
    indexer = Work(2 * options.index_heads * (options.index_width + 1) * rated)
    return at_least(attention(window(T, options.window - 1, 0) + chosen) + indexer)
