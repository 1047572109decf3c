"""What formats have no place for, in the words that every writer uses for it."""

from __future__ import annotations

from typing import Final

USAGE: Final = "token counts: they stay with the session in which they were spent"
SYSTEM: Final = "system prompts: the agent has its own"
MIDDLE: Final = "system messages on the way, written as injected text"
REASONING: Final = "reasoning that is sealed for another provider, or not signed by this one"
MEDIA: Final = "pictures and files that it cannot hold, named in their place"
BLOCKS: Final = "blocks of a type that it does not know"
EMPTY: Final = "texts of white space alone"
INPUT: Final = "arguments that are no object, put under `input`"
NAMES: Final = "names of tools with characters that it does not take"
EARLIER: Final = "messages from before the newest compaction: only its summary is written"
BEGIN: Final = "that an answer came first: a sentence stands in the place of its prompt"
SUMMARY: Final = "a compaction that no summary leads: a sentence stands before what it kept"
TITLE: Final = "the title"
INJECTED: Final = "that a program put a text in, and nobody typed it"
