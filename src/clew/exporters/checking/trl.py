"""TRL, Unsloth, Axolotl: `messages` and `tools`, with arguments as objects.

Source: TRL's dataset formats (conversational, with `tools`): language modeling (`messages`),
prompt-completion, preference (DPO) and unpaired preference (KTO); and what chat templates need
to render all of it: content that is always a string, results in call order that name their tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.exporters.checking.chat import Dialect, Talk, needs_answer
from clew.exporters.checking.rules import Findings, Shape
from clew.exporters.checking.tools import Tools

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row

DIALECT = Dialect(
    roles=frozenset({"system", "user", "assistant", "tool"}),
    text_arguments=False,
    named_results=True,
)
_DPO: Shape = {"prompt": (list,), "chosen": (list,), "rejected": (list,)}
_KTO: Shape = {"prompt": (list,), "completion": (list,), "label": (bool,)}


def check(row: Row) -> list[Problem]:
    """Why TRL would not learn what the row means. Empty when it is fit.

    A row has `messages`, or `prompt` and `completion`.
    """
    findings = Findings()
    if "completion" in row and "messages" not in row:
        findings.needs(row, {"prompt": (list,), "completion": (list,)}, "")
        if not findings.problems:
            _side(row, "completion", findings, findings)
        return findings.all()
    if "messages" not in row:
        findings.add("key-missing", "messages", "is missing: write the conversation there")
        return findings.all()
    talk = Talk(DIALECT, Tools(findings).read(row.get("tools")), findings)
    talk.read(row["messages"], "messages")
    talk.end()
    needs_answer(talk, findings)
    return findings.all()


def check_dpo(row: Row) -> list[Problem]:
    """Why DPO would not learn to prefer what was chosen: `prompt`, `chosen`, `rejected`."""
    findings = Findings()
    findings.needs(row, _DPO, "")
    if findings.problems:
        return findings.all()
    _side(row, "chosen", findings, findings)
    other = Findings()
    _side(row, "rejected", other, findings)
    findings.problems += [one for one in other.problems if one.where.startswith("rejected")]
    if row["chosen"] == row["rejected"]:
        findings.add("pair", "rejected", "is what was chosen, too: there is nothing to prefer")
    return findings.all()


def check_kto(row: Row) -> list[Problem]:
    """Why KTO would not learn from the completion: `prompt`, `completion`, `label`."""
    findings = Findings()
    findings.needs(row, _KTO, "")
    if not findings.problems:
        _side(row, "completion", findings, findings)
    return findings.all()


def _side(row: Row, side: str, findings: Findings, asked: Findings) -> None:
    """The conversation of a prompt and what continues it. Its last calls may be open: they are
    what is learned. `asked` takes what is wrong with the prompt alone.
    """
    tools = Tools(findings).read(row.get("tools"))
    talk = Talk(DIALECT, tools, findings)
    talk.read(row["prompt"], "prompt")
    if talk.last == "assistant" and findings is asked:
        asked.add("pair", "prompt", "ends with the assistant's words: move them behind it")
    before = talk.trainable
    talk.read(row[side], side, begins=False)
    talk.end(open_end=True)
    talk.trainable -= before
    needs_answer(talk, findings, side)
    first = row[side][0] if row[side] else None
    if type(first) is dict and first.get("role") in ("system", "user", "tool"):
        findings.add("pair", f"{side}/0/role", "does not answer the prompt: begin with an answer")
