"""What was erased is in no byte of any file, and the chains still verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import clew

from .children import Child
from .ledgers import assert_sound, say, url
from .scale import scaled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MESSAGES = scaled(200, 1000)


def _mark(number: int) -> str:
    return f"quetzal{number:06d}zebu"


def _found_in_files(report: Callable[[Any], None], directory: Path) -> None:
    """Which marks stand in any file, as bytes. In a process of its own: closing a database
    file here would drop the locks of those that have it open."""
    found = set()
    for file in directory.iterdir():
        content = file.read_bytes()
        found |= {n for n in range(MESSAGES * 2) if _mark(n).encode() in content}
    report(found)


def _residue(directory: Path) -> set[int]:
    (found,) = Child(_found_in_files, directory).finish()
    assert isinstance(found, set)
    return found


def test_an_erased_session_leaves_no_byte(tmp_path: Path) -> None:
    ledger = clew.open(url(tmp_path))
    kept = ledger.session(frontend="f", user="kept")
    gone = ledger.session(frontend="f", user="gone")
    for n in range(MESSAGES):
        gone.append({"role": "user", "content": f"the word {_mark(n)} is a secret"})
        kept.append({"role": "user", "content": f"the word {_mark(MESSAGES + n)} is none"})
        if n % 50 == 0:
            gone.checkpoint(_mark(n))
    gone.label(_mark(1))
    gone.config["secret"] = _mark(2)
    gone.compact(summary=f"they said {_mark(3)}", keep_tokens=200)
    ledger.index_now()
    assert _residue(tmp_path) == set(range(MESSAGES * 2)), "the control: the search works"

    ledger.erase(gone.id)
    assert_sound(ledger)
    assert _residue(tmp_path) == set(range(MESSAGES, MESSAGES * 2))
    assert len(kept.history()) == MESSAGES
    assert ledger.search(_mark(5)).hits == ()
    assert len(ledger.search(_mark(MESSAGES + 5)).hits) == 1
    kept.append(say("kept", 1))
    ledger.close()
    assert _residue(tmp_path) == set(range(MESSAGES, MESSAGES * 2))
