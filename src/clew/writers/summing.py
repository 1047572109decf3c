"""What stands for what a compaction hid, as writers put it before what was kept."""

from __future__ import annotations

from clew.model import File, Image, Message, Text
from clew.shapes.base import EARLIER, left_out
from clew.writers import lost
from clew.writers.base import Conversation, Losses, spoken


def parted(conversation: Conversation) -> tuple[bool, Message | None, tuple[Message, ...]]:
    """Whether a conversation was compacted, the summary that leads it, and what follows. Some
    agents put no summary first: it stands further on, or is a message like any other. Raises
    `Invalid` for a conversation without a message.
    """
    messages = spoken(conversation)
    if messages[0].summary:
        return True, messages[0], messages[1:]
    return bool(conversation.earlier), None, messages


def words_of(summary: Message | None, losses: Losses) -> str:
    """A summary in words; a sentence in its place where none leads."""
    if summary is None:
        losses.add(lost.SUMMARY)
        return EARLIER
    words = [summary.text] if summary.text else []
    for part in summary.parts:
        if isinstance(part, Image | File):
            losses.add(lost.MEDIA, summary.at)
            words.append(left_out(part))
        elif not isinstance(part, Text):
            losses.add(lost.BLOCKS, summary.at)
    return "\n".join(words) or EARLIER
