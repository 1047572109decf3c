"""Redaction: rules, the engine that applies them, placeholders and the report.

`Redactor(key).redact(value)` works on decoded JSON values, keys included; `scan` is the
second look at what was written. Pure: no network, and no files but in `known` (lists, the
environment), `stream` (temporary ones) and `independent` (another program's scan).
"""

from clew.redaction.engine import Detector, Learned, Redacted, Redactor
from clew.redaction.policy import Action, Policy
from clew.redaction.preview import Piece, Replacement, replacements
from clew.redaction.report import Finding, Report
from clew.redaction.rules import RULES, SECRET_RULES, Rule, ruleset

__all__ = [
    "RULES",
    "SECRET_RULES",
    "Action",
    "Detector",
    "Finding",
    "Learned",
    "Piece",
    "Policy",
    "Redacted",
    "Redactor",
    "Replacement",
    "Report",
    "Rule",
    "replacements",
    "ruleset",
]
