"""Where an export goes: one file, a file for each split, a folder of files, or a stream.

What is written takes its name only when everything is on disk and was looked at. Nothing that is
there is ever replaced unless that was asked for, and a folder never is.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from clew.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.exporters.formats import Format

MANIFEST: Final = ".manifest.json"
"""What stands behind the target's name in that of its manifest."""
CARD_MARK: Final = b"Exported by Clew"
"""What every card says."""
PACKED: Final = (".gz", ".zst", ".bz2", ".xz", ".zip")
_ALONE: Final = {"markdown": ".md", "html": ".html"}
"""Formats of which one session may be a file of its own, and how such a file is called."""


class Target:
    """A path that an export is written to. `kind` is `lines`, `table`, `folder` (a file for each
    row) or `single` (one row, one file). Raises `Invalid` for a path that cannot be taken.
    """

    def __init__(self, path: Path, shape: Format, *, overwrite: bool) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link
        if not self.path.name:
            raise Invalid(f"{path} is no name of a file: choose one, for example out.jsonl")
        if self.path.suffix in PACKED:
            raise Invalid(
                f"{path}: an export is not packed; write {self.path.stem} and pack it, or pipe "
                "-o - through the program that does"
            )
        self._overwrite = overwrite
        self.kind = _kind(self.path, shape)
        self.manifest = self.path.with_name(self.path.name + MANIFEST)
        if self.kind != "folder" and self.path.is_dir():
            raise Invalid(f"{path} is a folder; name a file in it, for example {path}/out.jsonl")

    @property
    def card(self) -> Path:
        """Where a dataset card goes: into the folder, or beside the file."""
        return (self.path if self.kind == "folder" else self.path.parent) / "README.md"

    def prepare(self, splits: list[str], *, card: bool = False, ledger: Path | None = None) -> None:
        """Make the folders above it. Raises `Invalid` where something stands that is not replaced,
        and for a file of the ledger itself.
        """
        if self.kind == "folder" and os.path.lexists(self.path) and not self.path.is_dir():
            raise Invalid(f"{self.path} is a file, and a folder is to be written: name another")
        for path in [*map(self.named, splits or [""]), self.manifest, *[self.card] * card]:
            _refuse_ledger(path, ledger)
            self._refuse(path)
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Invalid(f"the folder {folder} cannot be made: {error.strerror}") from error

    def named(self, split: str) -> Path:
        """Where a split goes: `train` of `out.jsonl` to `out.train.jsonl`, of a folder to
        `out/train`.
        """
        if not split:
            return self.path
        if self.kind == "folder":
            return self.path / split
        return self.path.with_name(f"{self.path.stem}.{split}{self.path.suffix}")

    def _refuse(self, path: Path) -> None:
        """Only files are ever replaced, and only where that was asked for: never a folder, which
        may hold what nobody named.
        """
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(mode):
            if self.kind != "folder":
                raise Invalid(f"{path} is a folder, and a file is to be written: name another")
            if any(path.iterdir()):
                raise Invalid(f"{path} is a folder with files in it: name another, or empty it")
            return
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise Invalid(f"{path} is a device or a pipe: write to standard output (-o -) into it")
        if not self._overwrite:
            raise Invalid(f"{path} exists; choose another name or allow overwriting")
        if path == self.card and CARD_MARK not in path.read_bytes():
            raise Invalid(f"{path} is no card of an export: it is not replaced")

    def take(self, named: Sequence[tuple[Path, Path]]) -> None:
        """Give what was written beside the target its names, in this order. Raises `Invalid` when
        one is taken meanwhile; then none was given, unless they may be overwritten.
        """
        for _, path in named:
            self._refuse(path)
        stale = self._stale({path for _, path in named}) if self._overwrite else []
        given: list[tuple[Path, Path]] = []
        try:
            for aside, path in named:
                self._take(aside, path)
                given.append((aside, path))
        except BaseException:
            for aside, path in [] if self._overwrite else reversed(given):
                path.replace(aside)
            raise
        for path in stale:
            path.unlink()

    def _take(self, aside: Path, path: Path) -> None:
        if path.parent != self.path.parent:
            path.parent.mkdir(exist_ok=True)
        if aside.is_dir():
            if path.is_dir():
                path.rmdir()  # it is empty, or this fails
            aside.replace(path)
        else:
            take_name(aside, path, overwrite=self._overwrite)
        sync_folder(path.parent)

    def _stale(self, named: set[Path]) -> list[Path]:
        """Files of the export that is replaced and of no split of this one: those that are still
        what its manifest says.
        """
        try:
            told = msgspec.json.decode(self.manifest.read_bytes(), type=_Files).files
        except (OSError, msgspec.DecodeError):
            return []
        found = []
        for one in told:
            path = self.path.parent / Path(one.file).name
            alike = path not in named and path.is_file() and not path.is_symlink()
            if alike and _sha256(path) == one.sha256:
                found.append(path)
        return found


class _File(msgspec.Struct):
    file: str
    sha256: str


class _Files(msgspec.Struct):
    files: list[_File]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_ledger(path: Path, ledger: Path | None) -> None:
    """A ledger's files begin with its name: the log and the index of it do, too."""
    if ledger is None:
        return
    same = path.parent.resolve() == ledger.parent.resolve()
    if (same and path.name.startswith(ledger.name)) or path.resolve() == ledger.resolve():
        raise Invalid(f"{path} is, or is called like, a file of the ledger: choose another name")


def _kind(path: Path, shape: Format) -> str:
    if shape.table is not None:
        return "table"
    if shape.file is None:
        return "lines"
    if path.suffix and path.suffix == _ALONE.get(shape.name):
        return "single"
    return "lines" if shape.lines and path.suffix in (".jsonl", ".json") else "folder"


def take_name(aside: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a file. Raises `Invalid` when the name is taken meanwhile, unless `overwrite`."""
    if overwrite:
        aside.replace(target)
        return
    try:
        # A link refuses to replace a file that somebody made in the meantime.
        os.link(aside, target)
    except FileExistsError:
        refuse_existing(target)
    except OSError:
        # A file system without hard links: look once more, then rename.
        refuse_existing(target)
        aside.replace(target)


def refuse_existing(target: Path) -> None:
    """Raises `Invalid` where something has this name."""
    if os.path.lexists(target):
        raise Invalid(f"{target} exists; choose another name or allow overwriting")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
