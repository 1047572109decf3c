"""Export: which sessions become training data, in which format, through which redaction, to where.

`Recipe` says what is done to a session, `ExportOptions` where it goes and who does it; `export`
is `Ledger.export`. Rows are made in units that do not depend on one another (`plan`, `unit`), so
one process, several or a cluster (`engines`, `ray`) write the same bytes.
"""

from clew.exporting.asked import Asked
from clew.exporting.job import PLACEHOLDERS, Exported, ExportOptions, Progress, count, export
from clew.exporting.manifest import Manifest
from clew.exporting.plan import Splits
from clew.exporting.recipe import Recipe, Redaction
from clew.exporting.rows import handed_out, row_of, rows_of, speaks
from clew.exporting.selection import TIERS, Selection, chosen

__all__ = [
    "PLACEHOLDERS",
    "TIERS",
    "Asked",
    "ExportOptions",
    "Exported",
    "Manifest",
    "Progress",
    "Recipe",
    "Redaction",
    "Selection",
    "Splits",
    "chosen",
    "count",
    "export",
    "handed_out",
    "row_of",
    "rows_of",
    "speaks",
]
