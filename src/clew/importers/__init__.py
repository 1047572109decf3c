"""Histories that other agents wrote, one format a module. Pure: they never touch storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clew import shapes
from clew.importers import (
    atif,
    atif_records,
    chat,
    chat_set,
    chat_set_records,
    chat_tables,
    claude_code,
    claude_prompts,
    claude_records,
    codex,
    codex_prompts,
    codex_records,
    copilot_cli,
    copilot_records,
    copilot_store,
    droid,
    droid_records,
    flynn,
    flynn_records,
    gemini_cli,
    gemini_records,
    goose,
    goose_records,
    hermes,
    hermes_records,
    langgraph,
    langgraph_records,
    llm,
    llm_records,
    lynkr,
    lynkr_records,
    open_webui,
    open_webui_records,
    openai_agents,
    openclaw,
    opencode,
    opencode_records,
    pi,
    pi_records,
    qwen,
    qwen_records,
)
from clew.importers.base import Importer, Reader, Store

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["IMPORTERS", "Importer", "Reader", "Store", "identify", "register_decoders"]

IMPORTERS: Final[dict[str, Importer | Store]] = {
    "claude-code": claude_code,
    "claude-code-prompts": claude_prompts,
    "codex": codex,
    "codex-prompts": codex_prompts,
    "pi": pi,
    "openclaw": openclaw,
    "gemini-cli": gemini_cli,
    "qwen": qwen,
    "copilot-cli": copilot_cli,
    "copilot-cli-calls": copilot_store,
    "droid": droid,
    "openai-agents": openai_agents,
    "opencode": opencode,
    "open-webui": open_webui,
    "flynn": flynn,
    "llm": llm,
    "hermes": hermes,
    "goose": goose,
    "lynkr": lynkr,
    # These have no place of their own: nothing that is an agent's is taken for theirs.
    "atif": atif,
    "chat": chat,
    "chat-set": chat_set,
    "langgraph": langgraph,
}

ANYWHERE: Final = frozenset({"atif", "chat", "chat-set"})
"""Importers of files that lie where a person put them: they look at what nobody else has."""


def identify(path: Path) -> Importer | Store | None:
    """The importer whose file this is; `None` when it is nobody's."""
    return next((each for each in IMPORTERS.values() if each.identify(path)), None)


def register_decoders() -> None:
    """Teach `clew.shapes` to read the records of every importer. May be called again."""
    shapes.register_decoder(claude_records.FORMAT, claude_records.decode)
    shapes.register_decoder(claude_prompts.FORMAT, claude_prompts.decode)
    shapes.register_decoder(codex_records.FORMAT, codex_records.decode)
    shapes.register_decoder(codex_prompts.FORMAT, codex_prompts.decode)
    shapes.register_decoder(pi_records.FORMAT, pi_records.decode)
    shapes.register_decoder(gemini_records.FORMAT, gemini_records.decode)
    shapes.register_decoder(gemini_records.CALLS, gemini_records.decode_calls)
    shapes.register_decoder(gemini_records.RESULTS, gemini_records.decode_results)
    shapes.register_decoder(qwen_records.FORMAT, qwen_records.decode)
    shapes.register_decoder(openai_agents.FORMAT, openai_agents.decode)
    shapes.register_decoder(copilot_records.FORMAT, copilot_records.decode)
    shapes.register_decoder(copilot_store.FORMAT, copilot_store.decode)
    shapes.register_decoder(droid_records.FORMAT, droid_records.decode)
    shapes.register_decoder(chat_tables.FORMAT, chat_tables.decode)
    shapes.register_decoder(chat_tables.RESULTS, chat_tables.decode_results)
    shapes.register_decoder(flynn_records.FORMAT, flynn_records.decode)
    shapes.register_decoder(atif_records.FORMAT, atif_records.decode)
    shapes.register_decoder(atif_records.RESULTS, atif_records.decode_results)
    shapes.register_decoder(atif_records.OBSERVED, atif_records.decode_observed)
    for form, decode in chat_set_records.DECODERS.items():
        shapes.register_decoder(form, decode)
    shapes.register_decoder(llm_records.FORMAT, llm_records.decode)
    shapes.register_decoder(llm_records.SYSTEM, llm_records.decode_system)
    shapes.register_decoder(llm_records.RESULTS, llm_records.decode_results)
    shapes.register_decoder(llm_records.PROMPT, llm_records.decode_prompt)
    shapes.register_decoder(llm_records.ANSWER, llm_records.decode_answer)
    shapes.register_decoder(opencode_records.FORMAT, opencode_records.decode)
    shapes.register_decoder(opencode_records.RESULTS, opencode_records.decode_results)
    shapes.register_decoder(hermes_records.FORMAT, hermes_records.decode)
    shapes.register_decoder(lynkr_records.FORMAT, lynkr_records.decode)
    shapes.register_decoder(goose_records.FORMAT, goose_records.decode)
    shapes.register_decoder(langgraph_records.FORMAT, langgraph_records.decode)
    shapes.register_decoder(open_webui_records.FORMAT, open_webui_records.decode)
    shapes.register_decoder(open_webui_records.RESULTS, open_webui_records.decode_results)
    shapes.register_decoder(open_webui_records.REST, open_webui_records.decode_rest)
    shapes.register_decoder(open_webui_records.SUMMARY, open_webui_records.decode_summary)
