"""Harbor's models and validator take our ATIF documents, and take what ours refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exported import WHY

trajectories = pytest.importorskip("harbor.models.trajectories", reason=WHY)
validators = pytest.importorskip("harbor.utils.trajectory_validator", reason=WHY)


def test_every_document_is_valid(exports: Path) -> None:
    files = sorted((exports / "atif").glob("*.json"))
    assert len(files) >= 5
    for file in files:
        validator = validators.TrajectoryValidator()
        assert validator.validate(file), validator.errors
        made = trajectories.Trajectory.model_validate_json(file.read_text())
        assert made.schema_version == "ATIF-v1.7"
        assert made.to_json_dict(exclude_none=False)["steps"][0]["step_id"] == 1


def test_a_call_without_its_result_passes_there(exports: Path) -> None:
    """Which is why Clew has rules of its own."""
    file = next(
        one for one in sorted((exports / "atif").glob("*.json")) if "observation" in one.read_text()
    )
    document = json.loads(file.read_text())
    for step in document["steps"]:
        step.pop("observation", None)
    assert trajectories.Trajectory.model_validate(document)
