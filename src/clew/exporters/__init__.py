"""Exporters: rows, their formats, their shaping and their validation. Pure: `clew.exporting` reads
the ledger for them and writes what they give.
"""

from clew.exporters.base import Row, Segment, line, segments
from clew.exporters.trajectory import trajectory

__all__ = ["Row", "Segment", "line", "segments", "trajectory"]
