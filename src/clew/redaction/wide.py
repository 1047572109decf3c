"""Text that is written in UTF-16 or UTF-32, as PowerShell's `>` does: read as UTF-8, and written
as it came.
"""

from __future__ import annotations

import codecs
from typing import IO

from clew.errors import Invalid

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOK_BYTES = 4096
_LOOK_BYTES_MIN = 16
_COPY_BYTES = 1 << 20


def encoding(spool: IO[bytes]) -> tuple[bytes, str] | None:
    """The mark and the codec of a wide text; `None` for one of single bytes. Raises `Invalid` for
    a text that looks wide and has no mark.
    """
    spool.seek(0)
    begin = spool.read(_LOOK_BYTES)
    found = next(((mark, name) for mark, name in _MARKS if begin.startswith(mark)), None)
    if found is None and len(begin) >= _LOOK_BYTES_MIN:
        for offset in (0, 1):
            half = begin[offset::2]
            if half.count(0) * 10 >= len(half) * 9 and begin.count(0) * 10 <= len(begin) * 8:
                raise Invalid(
                    "the input looks like UTF-16 without a mark at its beginning, and secrets "
                    "would not be found in it; write it as UTF-8"
                )
    return found


def narrowed(source: IO[bytes], target: IO[bytes], wide: tuple[bytes, str]) -> None:
    """Write a wide text as UTF-8. Raises `Invalid` for one that is not what its mark says."""
    mark, name = wide
    source.seek(len(mark))
    decoder = codecs.getincrementaldecoder(name)("surrogatepass")
    try:
        while piece := source.read(_COPY_BYTES):
            target.write(decoder.decode(piece).encode("utf-8", "surrogatepass"))
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise Invalid(
            f"the input begins like {name.upper()} and is none ({error}); write it as UTF-8"
        ) from None


class Widened:
    """A stream for UTF-8 that writes it in a wide form to another one."""

    def __init__(self, target: IO[bytes], wide: tuple[bytes, str]) -> None:
        self._target, (mark, self._name) = target, wide
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        target.write(mark)

    def write(self, data: bytes) -> None:
        """Write what is whole of it; a character may go on in the next piece."""
        text = self._decoder.decode(data)
        self._target.write(text.encode(self._name, "surrogatepass"))
