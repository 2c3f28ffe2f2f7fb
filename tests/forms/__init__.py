"""What each variant costs, written from its definition: the forms that the counter must meet."""

from tests.forms import feeds, learned, patterns, summaries
from tests.forms.work import FORMS

__all__ = ["FORMS", "feeds", "learned", "patterns", "summaries"]
