"""Sessions in the form in which other agents keep them, one agent a module. Pure: they give
bytes and never write.
"""

from __future__ import annotations

from clew.writers.base import Conversation, Loss, Writer, Written

__all__ = ["Conversation", "Loss", "Writer", "Written"]
