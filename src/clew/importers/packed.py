"""Other programs' files, opened for reading: regular ones only, and those that an agent may have
compressed as the plain bytes that are in them.
"""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, BinaryIO, Self

import zstandard

from clew.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".zst"
NO_FILE = "a pipe, a socket or a device, not a regular file"
UNPACKED_BYTES_MAX = 8 << 30
"""A file that unpacks to more is taken for an attack and not read on."""

_WINDOW_BYTES_MAX = 1 << 27
_STEP_BYTES = 1 << 20


def plain_name(path: str) -> str:
    """The name of the plain file: an agent that compresses its file has not begun another."""
    return path.removesuffix(SUFFIX)


def plain(path: Path) -> BinaryIO:
    """The file, open for reading. Raises `OSError` for what is no regular file: whoever opens a
    pipe waits for its writer, and reading a device may do anything.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return path.open("rb")


def whole(path: Path) -> bytes:
    """All bytes of a small file. Raises `OSError` like `plain`."""
    with plain(path) as file:
        return file.read()


def opened(path: Path) -> BinaryIO | Unpacked:
    """The file, open for reading; one that ends in `.zst` gives its plain bytes."""
    file = plain(path)
    return Unpacked(file) if path.name.endswith(SUFFIX) else file


class Unpacked:
    """The plain bytes of a Zstandard file. Only what is asked for is unpacked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        packer = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
        self._stream = packer.stream_reader(self._file, read_across_frames=True)
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, size: int) -> bytes:
        """Up to `size` plain bytes; none at the end. Raises `Invalid` for what is no such
        file, is damaged here, or unpacks to more than `UNPACKED_BYTES_MAX`.
        """
        try:
            data: bytes = self._stream.read(size)
        except zstandard.ZstdError as error:
            raise Invalid(f"it cannot be unpacked behind byte {self._at} ({error})") from None
        self._at += len(data)
        if self._at > UNPACKED_BYTES_MAX:
            raise Invalid(f"it unpacks to more than {UNPACKED_BYTES_MAX} bytes: not read")
        return data

    def seek(self, offset: int) -> int:
        """Go to a plain offset, back by unpacking again from the start."""
        if offset < self._at:
            self._begin()
        while self._at < offset and self.read(min(_STEP_BYTES, offset - self._at)):
            pass
        return self._at
