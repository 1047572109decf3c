"""Writing an export: whole or not at all.

Rows go to a file beside the target, which takes its name only when everything is on disk and,
with redaction on, a second scan of the written bytes found nothing. A secret may be found
after rows that hold it too were written; then the file is read and written once more with
what is known by then, before it is scanned. An error or an interrupt leaves no file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from clew.errors import Invalid, RedactionFailed
from clew.exporters.base import Redacts, Row, line

OnProgress = Callable[[int], None]
"""Called with the number of rows written so far."""
PASSES_MAX = 5
"""A pass over the file may learn new values; each pass finds fewer."""
_FINDINGS_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Written:
    """What was written. `path` is `None` for a stream; `redactions` are counts by rule."""

    rows: int
    bytes: int
    sha256: str
    path: Path | None
    redactions: dict[str, int]


def write(
    rows: Iterable[Row],
    output: Path | BinaryIO,
    *,
    redactor: Redacts | None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Written:
    """Write `rows` as JSONL to a path or a binary stream.

    A path's missing folders are made; an existing file is refused unless `overwrite`. With a
    redactor a stream gets its first byte only after everything was written and scanned.
    Raises `Invalid` for a path that cannot be taken and `RedactionFailed` when the scan finds
    something; in both cases nothing was exported.
    """
    if isinstance(output, Path):
        return _to_path(rows, output, redactor, overwrite, on_progress)
    if redactor is None:
        return _plain(rows, output, on_progress)
    with tempfile.TemporaryDirectory(prefix="clew-export-") as folder:
        spool = Path(folder) / "rows.jsonl"
        written = _guarded(rows, spool, redactor, on_progress)
        with spool.open("rb") as source:
            shutil.copyfileobj(source, output)
        output.flush()
    return Written(written.rows, written.bytes, written.sha256, None, written.redactions)


def _to_path(
    rows: Iterable[Row],
    target: Path,
    redactor: Redacts | None,
    overwrite: bool,
    on_progress: OnProgress | None,
) -> Written:
    if target.is_dir():
        raise Invalid(f"{target} is a folder; name a file in it, for example {target}/out.jsonl")
    _refuse_existing(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"the folder {target.parent} cannot be made: {error.strerror}") from error
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        written = _guarded(rows, aside, redactor, on_progress)
        _take_name(aside, target, overwrite)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()
    return Written(written.rows, written.bytes, written.sha256, target, written.redactions)


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(target):
        raise Invalid(f"{target} exists; choose another name or allow overwriting")


def _take_name(aside: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        aside.replace(target)
    else:
        try:
            # A link refuses to replace a file that somebody made in the meantime.
            os.link(aside, target)
        except FileExistsError:
            _refuse_existing(target, overwrite)
        except OSError:
            # A file system without hard links: look once more, then rename.
            _refuse_existing(target, overwrite)
            aside.replace(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _guarded(
    rows: Iterable[Row], aside: Path, redactor: Redacts | None, on_progress: OnProgress | None
) -> Written:
    """Write to `aside`; with a redactor redacted as often as it takes, and scanned."""
    if redactor is None:
        return _into(aside, rows, on_progress)
    counts = redactor.counts
    learned = redactor.learned
    written = _into(aside, _redacted(rows, redactor), on_progress)
    for _ in range(PASSES_MAX):
        if learned == redactor.learned:
            break
        learned = redactor.learned
        written = _once_more(aside, redactor)
    _scan(aside, redactor)
    new = {rule: n - counts.get(rule, 0) for rule, n in redactor.counts.items()}
    redactions = {rule: n for rule, n in new.items() if n}
    return Written(written.rows, written.bytes, written.sha256, None, redactions)


def _into(path: Path, rows: Iterable[Row], on_progress: OnProgress | None) -> Written:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        written = _plain(rows, stream, on_progress)
        os.fsync(stream.fileno())
    return written


def _plain(rows: Iterable[Row], stream: BinaryIO, on_progress: OnProgress | None) -> Written:
    digest, count, size = hashlib.sha256(), 0, 0
    for row in rows:
        data = line(row)
        stream.write(data)
        digest.update(data)
        count += 1
        size += len(data)
        if on_progress is not None:
            on_progress(count)
    stream.flush()
    return Written(count, size, digest.hexdigest(), None, {})


def _redacted(rows: Iterable[Row], redactor: Redacts) -> Iterator[Row]:
    for row in rows:
        before = sum(redactor.counts.values())
        done = row.get("redaction") or {"n": 0}
        clean: Row = redactor.redact({key: row[key] for key in row if key != "redaction"})
        found = sum(redactor.counts.values()) - before
        clean["redaction"] = {"ruleset": redactor.ruleset, "n": done["n"] + found}
        yield clean


def _once_more(path: Path, redactor: Redacts) -> Written:
    """Redact the written rows again, with the values that were found after them."""
    again = path.with_name(path.name + ".again")
    try:
        written = _into(again, _redacted(_read(path), redactor), None)
        again.replace(path)
    finally:
        with suppress(FileNotFoundError):
            again.unlink()
    return written


def _read(path: Path) -> Iterator[Row]:
    with path.open("rb") as stream:
        for number, data in enumerate(stream, 1):
            try:
                yield msgspec.json.decode(data)
            except msgspec.DecodeError as error:
                raise RedactionFailed(
                    f"row {number} of the written export cannot be read back ({error}), so it "
                    "cannot be searched for secrets; nothing was exported"
                ) from error


def _scan(path: Path, redactor: Redacts) -> None:
    for number, row in enumerate(_read(path), 1):
        found = redactor.scan(row)
        if found:
            shown = "; ".join(str(one) for one in found[:_FINDINGS_SHOWN_MAX])
            raise RedactionFailed(
                f"the scan of the written export found {len(found)} secrets in row {number} "
                f"({shown}); nothing was exported. Leave that session out, or report the rule"
            )
