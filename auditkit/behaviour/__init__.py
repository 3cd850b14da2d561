"""Behavioural tests of a text classifier: a user's suite, read with suspicion and judged by case.

A suite is a file with one JSON object per line, a case:

    {"test": "negation", "type": "MFT", "capability": "Syntax", "texts": ["not good"],
     "label": "negative"}
    {"test": "typos", "type": "INV", "capability": "Robustness", "texts": ["good", "goood"]}
    {"test": "intensifiers", "type": "DIR", "capability": "Vocabulary", "direction": "up",
     "texts": ["good", "very good"]}

The types are those of CheckList (Ribeiro et al. 2020, ACL):

- MFT, minimum functionality: every text must be given the class `label`.
- INV, invariance: every text after the first must be given the same class as the first.
- DIR, direction: from the first text to each other one, the probability of the class `label` (by
  default the one given to the first text) must not fall ("up") or not rise ("down").

`case` may give a case an id, unique within its test, and `note` a remark.
"""

from auditkit.behaviour.cases import Case, Kind, Reading, read_suite
from auditkit.behaviour.failures import Tolerances, failed

__all__ = ["Case", "Kind", "Reading", "Tolerances", "failed", "read_suite"]
