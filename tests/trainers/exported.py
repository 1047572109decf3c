"""What the tests of this folder share: why they are skipped, the rows of a file, a template."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

WHY = "it needs the trainers' packages: make trainers"


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def template(name: str) -> str:
    """A chat template that TRL ships."""
    trl = importlib.import_module("trl")
    return (Path(str(trl.__file__)).parent / "chat_templates" / f"{name}.jinja").read_text()
