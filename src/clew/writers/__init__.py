"""Sessions in the form in which other agents keep them, one agent a module. Pure: they give
bytes and never write.
"""

from __future__ import annotations

from typing import Final

from clew.writers import claude_code, codex, gemini_cli, opencode, pi
from clew.writers.base import Conversation, Loss, Writer, Written

__all__ = ["WRITERS", "Conversation", "Loss", "Writer", "Written"]

WRITERS: Final[dict[str, Writer]] = {
    "claude-code": claude_code,
    "codex": codex,
    "gemini-cli": gemini_cli,
    "opencode": opencode,
    "pi": pi,
}
