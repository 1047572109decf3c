"""What is done to a native row before it becomes a format's: one concern, one module.

`shape` cuts a row into segments, turns or answers, chooses which of them train, and makes each
part fit. Native rows go in and native rows come out. Described in `docs/shaping.md`.
"""

from __future__ import annotations

from clew.exporters.shaping.budget import Summarise, tokens_of
from clew.exporters.shaping.options import Shaping
from clew.exporters.shaping.rows import OnUnfit, shape

__all__ = ["OnUnfit", "Shaping", "Summarise", "shape", "tokens_of"]
