"""The README's tour is a program, and its output is what that program prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


TOURS = re.findall(
    r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize(("tour", "told"), TOURS, ids=["messages", "what runs"])
def test_the_tour_prints_what_the_readme_says(tmp_path: Path, tour: str, told: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", tour], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == (told, "")
