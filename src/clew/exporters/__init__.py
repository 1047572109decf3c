"""Exporters: one format, one module. They get records and give rows; `files` writes them."""

from clew.exporters.base import Row, Segment, line, segments
from clew.exporters.files import Written, write
from clew.exporters.trajectory import trajectory

__all__ = ["Row", "Segment", "Written", "line", "segments", "trajectory", "write"]
