"""Config is a mapping on the path: it goes where the head goes."""

from __future__ import annotations

from typing import Any

import pytest

import clew

from .talk import user


def test_config_is_a_mapping_that_is_written_through(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"model": "m", "nested": {"a": [1, 2.5, None, "ü"]}})
    config = session.config
    assert config["nested"] == {"a": [1, 2.5, None, "ü"]}
    config["model"] = "n"
    config.update({"x": 1, "y": 2})
    del config["x"]
    assert dict(ledger.get(session.id).config) == {
        "model": "n",
        "nested": {"a": [1, 2.5, None, "ü"]},
        "y": 2,
    }
    assert len(config) == 3
    assert "x" not in config
    assert config.get("x", 7) == 7
    assert session.info.config == dict(config)


def test_a_missing_setting_is_a_key_error_and_records_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with pytest.raises(KeyError):
        session.config["nothing"]
    with pytest.raises(KeyError):
        del session.config["nothing"]
    assert session.entries() == []
    assert len(ledger.audit()) == 1


@pytest.mark.parametrize("value", [object(), float("nan"), {"a": [float("inf")]}, "\ud800"])
def test_a_value_that_is_no_json_is_refused(ledger: clew.Ledger, value: Any) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid):
        session.config["x"] = value
    with pytest.raises(clew.Invalid):
        ledger.create(config={"x": value})
    assert dict(session.config) == {}
    assert len(ledger.sessions()) == 1


def test_a_key_that_is_no_text_is_refused(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid, match="text"):
        session.config[5] = "x"  # type: ignore[index]
    assert dict(session.config) == {}


def test_config_changes_do_not_disturb_the_history(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a"))
    session.config["a"] = 1
    session.append(user("b"))
    assert [m.text for m in session.history()] == ["a", "b"]
    assert [e.kind for e in session.entries()] == ["message", "config", "message"]
