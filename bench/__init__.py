"""How fast Clew is on this machine, against goals: `python -m bench [NAME ...]`.

Every bench is a module with a `TITLE` and a `run(options)` that gives figures. What is compared
is run in the same rounds in turn, and a ratio is the median of the rounds' own ratios, so that a
machine which does other things at the same time disturbs both sides alike. CPU time stands
beside wall time for the same reason.
"""

import sys
from pathlib import Path

# The file system that counts and delays fsyncs stands with the tests that need it, too.
sys.path.append(str(Path(__file__).parent.parent / "tests"))
