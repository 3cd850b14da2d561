"""Words that name who somebody is, and texts in which only that is changed.

- `terms`: which words name which group, and which words of other groups stand in the same place.
- `swapping`: a text rewritten so that it names another group, with its grammar kept, or the reason
  why that cannot be done without changing what it says.
- `templates`: sentences with a gap for a term, and whether they are hostile.
"""

from auditkit.identity.swapping import Excluded, NamedGroup, Swapped, Swapper
from auditkit.identity.templates import Filled, fill, read_templates
from auditkit.identity.terms import Term, TermSet, read_terms

__all__ = [
    "Excluded",
    "Filled",
    "NamedGroup",
    "Swapped",
    "Swapper",
    "Term",
    "TermSet",
    "fill",
    "read_templates",
    "read_terms",
]
