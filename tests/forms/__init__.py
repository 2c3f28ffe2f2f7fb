"""What each variant costs, written from its definition: the forms that the counter must meet."""

from tests.forms import elementwise, feeds, learned, patterns, summaries
from tests.forms.work import FORMS, OTHERS

__all__ = ["FORMS", "OTHERS", "elementwise", "feeds", "learned", "patterns", "summaries"]
