"""What writers make of a conversation: golden files, and the importer of the same agent reads the
same conversation from them.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew.errors import Invalid
from clew.model import Image, Message, Position, Text, Thinking, ToolCall, ToolResult, Unknown
from clew.shapes import base
from clew.writers import WRITERS, Conversation, lost
from clew.writers.placing import put
from clew.writers.settling import settled

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN = Path(__file__).resolve().parent / "golden" / "writers"
MEMORY = "sqlite:///:memory:"
BEGUN = 1_767_225_600_000  # 2026-01-01
PIXEL = "iVBORw0KGgo="
OURS = ("codex", "gemini-cli", "opencode")


def at(seq: int) -> tuple[Position, ...]:
    return (Position("0" * 32, seq),)


def talk(*messages: Message, **facts: Any) -> Conversation:
    """A conversation as writers get it."""
    timed = [
        msgspec.structs.replace(each, at=at(n), time_ms=BEGUN + 1000 * n)
        for n, each in enumerate(messages, 1)
    ]
    known: dict[str, Any] = {
        "session": "0" * 32,
        "at": f"{'0' * 32}:{len(timed)}",
        "title": "Mend the clock",
        "cwd": "/srv/clock",
        "model": "model-x",
        "provider": "maker",
        "agent": "some-agent",
        "created_ms": BEGUN,
    }
    return Conversation(messages=tuple(timed), **(known | facts))


def user(words: str, *parts: Any) -> Message:
    return Message("user", (Text(words), *parts))


def bot(*parts: Any) -> Message:
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Message("assistant", said, model="model-x")


def gave(call: str, *parts: Any, failed: bool = False) -> ToolResult:
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return ToolResult(call, said, failed, "tool")


def tools(*results: ToolResult) -> Message:
    return Message("tool", results)


WHOLE = talk(
    Message("user", (Text("Before: the clock was late."),), summary=True),
    user("Why is it late?\nLook at \u2028this: `{}`", Image("image/png", PIXEL)),
    bot(
        Thinking("I should look.", signature="sealed"),
        "I look.",
        ToolCall("c1", "exec_command", '{"cmd":"date"}'),
        ToolCall("c2", "exec_command", '{"cmd":"false"}'),
    ),
    tools(gave("c1", "Thu Jan  1", Image("image/png", PIXEL)), gave("c2", "exit 1", failed=True)),
    bot(ToolCall("c3", "apply_patch", '"*** Begin Patch\\n*** End Patch\\n"')),
    tools(gave("c3", "Success")),
    bot("It is mended."),
    user("Thanks."),
    Message("user", (Text("A note that nobody typed."),), meta=True),
    bot("You are welcome."),
)


def flat(messages: Sequence[Message], agent: str) -> list[Any]:
    """What a conversation says, told alike for all formats: every result behind its call,
    without reasoning and names of results.
    """
    out: list[Any] = []
    results = {each.call_id: each for message in messages for each in message.tool_results}
    for message in messages:
        for part in message.parts:
            match part:
                case Text(text) if text.strip():
                    role = "assistant" if message.role == "assistant" else "user"
                    out.append((role, text))
                case Image():
                    out.append(("image", part.media_type, part.data))
                case ToolCall(id, name, arguments):
                    out.append(("call", id, name, json.dumps(_given(arguments, agent))))
                    result = results[id]
                    images = [p.data for p in result.parts if isinstance(p, Image)]
                    failed = result.is_error and agent != "codex"
                    if failed and agent == "opencode":
                        images = []
                    out.append(("result", id, result.text, images, failed))
    return out


def _given(arguments: str, agent: str) -> Any:
    text = base.free_text(arguments)
    if text is not None and agent == "codex":
        return text
    return base.as_object(arguments)


def read_back(agent: str, conversation: Conversation) -> list[Message]:
    """What the agent's importer finds in what the writer made."""
    with tempfile.TemporaryDirectory() as folder, clew.open(MEMORY, search=False) as ledger:
        root = Path(folder)
        put(root, WRITERS[agent].write(conversation, root).files)
        done = ledger.import_from(root, importer=agent)
        assert [note.text for note in done.notes] == []
        (info,) = ledger.sessions()
        from clew.writers.base import Losses

        seen = settled(ledger.get(info.id).context(), Losses())
        assert ledger.verify().ok
    return [_without_tags(message) for message in seen]


def _without_tags(message: Message) -> Message:
    """Gemini CLI's summaries stand in tags."""
    words = message.text
    if not message.summary or not words.startswith("<state_snapshot>"):
        return message
    inner = words.removeprefix("<state_snapshot>\n").removesuffix("\n</state_snapshot>")
    return msgspec.structs.replace(message, parts=(Text(inner),))


def opened(conversation: Conversation, target: Path = Path("/nowhere")) -> dict[str, Any]:
    """What OpenCode is given."""
    (raw,) = WRITERS["opencode"].write(conversation, target).files.values()
    found: dict[str, Any] = json.loads(raw)
    return found


# --- golden files ------------------------------------------------------------------------


@pytest.mark.parametrize("agent", OURS)
def test_golden(agent: str, tmp_path: Path) -> None:
    written = WRITERS[agent].write(WHOLE, tmp_path)
    folder = GOLDEN / agent
    if os.environ.get("CLEW_GOLDEN"):
        for name, raw in written.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(raw)
    held = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert held == written.files
    assert WRITERS[agent].write(WHOLE, tmp_path) == written, "the same again gives the same"
    assert b"sealed" not in b"".join(written.files.values())
    assert written.command.startswith("cd /srv/clock && ")
    assert written.session in written.command


@pytest.mark.parametrize("agent", sorted(WRITERS))
def test_a_conversation_of_nothing_is_refused(agent: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="says nothing"):
        WRITERS[agent].write(talk(), tmp_path)


# --- read back ---------------------------------------------------------------------------


@pytest.mark.parametrize("agent", OURS)
def test_the_importer_reads_the_same_conversation(agent: str) -> None:
    found = read_back(agent, WHOLE)
    assert flat(found, agent) == flat(WHOLE.messages, agent)
    assert [message.summary for message in found].count(True) == 1
    assert found[0].summary


WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40
).filter(lambda text: bool(text.strip()))
PROMPTS = WORDS.map(lambda text: f"Please: {text}")
ARGUMENTS = st.dictionaries(st.text("abc", min_size=1), WORDS | st.integers(0, 9), max_size=3).map(
    base.compact
)
MEDIA = st.lists(st.just(Image("image/png", PIXEL)), max_size=1)


@st.composite
def steps(draw: st.DrawFn, number: str) -> list[Message]:
    """An answer, its calls, and what the tools gave."""
    said = draw(st.lists(WORDS.map(Text), max_size=2))
    count = draw(st.integers(0, 3))
    calls = [
        ToolCall(f"c{number}_{n}", draw(st.sampled_from(["look", "shell"])), draw(ARGUMENTS))
        for n in range(count)
    ]
    if not said and not calls:
        said = [Text("Well.")]
    out = [Message("assistant", (*said, *calls), model="model-x")]
    if calls:
        given_ = [
            ToolResult(call.id, (Text(draw(WORDS)), *draw(MEDIA)), draw(st.booleans()), call.name)
            for call in calls
        ]
        out.append(Message("tool", tuple(given_)))
    return out


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    out: list[Message] = []
    if draw(st.booleans()):
        words = draw(WORDS).strip()
        out.append(Message("user", (Text(f"So far: {words}"),), summary=True))
    for turn in range(draw(st.integers(1, 3))):
        out.append(Message("user", (Text(draw(PROMPTS)), *draw(MEDIA))))
        for step in range(draw(st.integers(0, 2))):
            out += draw(steps(f"{turn}_{step}"))
    return talk(*out)


@pytest.mark.parametrize("agent", OURS)
@settings(max_examples=25)
@given(conversation=conversations())
def test_any_conversation_comes_back(agent: str, conversation: Conversation) -> None:
    found = read_back(agent, conversation)
    assert flat(found, agent) == flat(conversation.messages, agent)


# --- Codex -------------------------------------------------------------------------------


def _rows(conversation: Conversation, target: Path) -> list[dict[str, Any]]:
    (raw,) = WRITERS["codex"].write(conversation, target).files.values()
    return [json.loads(line) for line in raw.splitlines()]


@pytest.mark.parametrize(
    ("settings_", "provider"),
    [
        (None, "openai"),
        ('model_provider = "mine"\n', "mine"),
        ("model_provider = 3\n", "openai"),
        ("not toml [", "openai"),
    ],
)
def test_codex_lists_the_sessions_of_the_provider_in_use(
    settings_: str | None, provider: str, tmp_path: Path
) -> None:
    if settings_ is not None:
        (tmp_path / "config.toml").write_text(settings_)
    meta = _rows(WHOLE, tmp_path)[0]
    assert (meta["type"], meta["payload"]["model_provider"]) == ("session_meta", provider)


def test_a_rollout_gives_no_powers_and_counts_no_tokens(tmp_path: Path) -> None:
    kinds = {row["type"] for row in _rows(WHOLE, tmp_path)}
    assert kinds == {"session_meta", "event_msg", "response_item", "compacted"}
    events = [
        row["payload"]["type"] for row in _rows(WHOLE, tmp_path) if row["type"] == "event_msg"
    ]
    assert "token_count" not in events
    assert events.count("user_message") == events.count("task_started") == 2
    assert events.count("task_complete") == 2


def test_sealed_reasoning_goes_back_to_codex_alone(tmp_path: Path) -> None:
    sealed = Message("assistant", (Thinking("hm", data="gAAA"),), format="openai-responses")
    own = talk(user("Go."), sealed, agent="codex")
    other = talk(user("Go."), sealed, agent="some-agent")
    assert "gAAA" in json.dumps(_rows(own, tmp_path))
    assert "gAAA" not in json.dumps(_rows(other, tmp_path))
    losses = WRITERS["codex"].write(other, tmp_path).losses
    assert [loss.what for loss in losses if "reasoning" in loss.what]


# --- Gemini CLI --------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["/help me", "?", "<session_context>mine</session_context>"])
def test_a_prompt_that_gemini_would_skip_has_words_before_it(words: str, tmp_path: Path) -> None:
    written = WRITERS["gemini-cli"].write(talk(user(words), bot("Yes.")), tmp_path)
    rows = [json.loads(line) for line in next(iter(written.files.values())).splitlines()]
    parts = next(row["content"] for row in rows if row.get("type") == "user")
    assert parts[0]["text"] == "I said:\n"
    assert parts[1]["text"] == words
    assert any("skip" in loss.what for loss in written.losses)


def test_words_behind_a_call_stay_behind_it() -> None:
    conversation = talk(
        user("Go."),
        bot("First.", ToolCall("c1", "look", "{}"), "Then.", ToolCall("c2", "look", "{}")),
        tools(gave("c1", "one"), gave("c2", "two")),
    )
    found = read_back("gemini-cli", conversation)
    assert flat(found, "gemini-cli") == flat(conversation.messages, "gemini-cli")


def _place(target: Path) -> tuple[str, bool]:
    """The project's folder in what is written, and whether its mark is written too."""
    files = WRITERS["gemini-cli"].write(WHOLE, target).files
    chat = next(name for name in files if name.endswith(".jsonl"))
    return chat.split("/")[1], len(files) == 2


def test_gemini_finds_a_session_in_the_folder_of_its_project(tmp_path: Path) -> None:
    assert _place(tmp_path) == ("clock", True)
    files = WRITERS["gemini-cli"].write(WHOLE, tmp_path).files
    assert files["tmp/clock/.project_root"] == b"/srv/clock"
    put(tmp_path, files)
    assert _place(tmp_path) == ("clock", False), "the mark is known"


@pytest.mark.parametrize(
    ("register", "marks", "place"),
    [
        ({"/srv/clock": "c-7"}, {"tmp/c-7": "/srv/clock"}, ("c-7", False)),
        ({"/srv/clock": "c-7"}, {}, ("c-7", False)),
        ({"/srv/clock": "c-7"}, {"tmp/c-7": "/elsewhere"}, ("clock", True)),
        ({"/other/clock": "clock"}, {}, ("clock-1", True)),
        ({}, {"history/clock": "/other/clock"}, ("clock-1", True)),
        ({}, {"tmp/own": "/srv/clock"}, ("own", False)),
        ({"/srv/clock": "../../etc"}, {}, ("clock", True)),
        ({"/srv/clock": 7}, {}, ("clock", True)),
    ],
)
def test_gemini_keeps_a_register_of_projects(
    register: dict[str, Any], marks: dict[str, str], place: tuple[str, bool], tmp_path: Path
) -> None:
    (tmp_path / "projects.json").write_text(json.dumps({"projects": register}))
    for folder, owner in marks.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".project_root").write_text(owner)
    assert _place(tmp_path) == place


def test_a_damaged_register_is_none(tmp_path: Path) -> None:
    (tmp_path / "projects.json").write_bytes(b'{"projects": {"/srv/clock": "c')
    assert _place(tmp_path) == ("clock", True)


# --- OpenCode ----------------------------------------------------------------------------


def _spoken(found: dict[str, Any]) -> list[Any]:
    """What OpenCode's own reading of such a file shows to a model, told as `flat` does."""
    out: list[Any] = []
    for message in found["messages"]:
        role, summary = message["info"]["role"], message["info"].get("summary")
        for part in message["parts"]:
            if part["type"] == "text":
                out.append(("user" if role == "user" or summary else role, part["text"]))
            elif part["type"] == "file":
                head, _, data = part["url"].partition(";base64,")
                out.append(("image", head.removeprefix("data:"), data))
            elif part["type"] == "tool":
                state = part["state"]
                out.append(("call", part["callID"], part["tool"], json.dumps(state["input"])))
                out.append(_outcome(part["callID"], state))
    return out


def _outcome(call: str, state: dict[str, Any]) -> Any:
    pictures = [each["url"].partition(",")[2] for each in state.get("attachments", [])]
    failed = state["status"] == "error"
    return ("result", call, state["error"] if failed else state["output"], pictures, failed)


@settings(max_examples=40)
@given(conversation=conversations())
def test_opencode_is_given_any_conversation_in_order(conversation: Conversation) -> None:
    found = opened(conversation)
    assert _spoken(found) == flat(conversation.messages, "opencode")
    ids = [message["info"]["id"] for message in found["messages"]]
    parts = [part for message in found["messages"] for part in message["parts"]]
    assert ids == sorted(ids)
    assert len({*ids, *(part["id"] for part in parts)}) == len(ids) + len(parts)
    asked = ""
    for message in found["messages"]:
        info = message["info"]
        if info["role"] == "user":
            asked = info["id"]
        else:
            assert info["parentID"] == asked
        assert {part["messageID"] for part in message["parts"]} == {info["id"]}


def test_what_is_said_later_sorts_behind_in_opencode() -> None:
    """Its ids hold 48 bits of the time, times 4096: small ones stand before all real ones."""
    ids = [message["info"]["id"] for message in opened(WHOLE)["messages"]]
    real = f"msg_{(BEGUN * 4096) % 2**48:012x}"
    assert max(ids) < real


def test_a_conversation_that_begins_with_an_answer_gets_a_prompt() -> None:
    found = opened(talk(bot("Hello.")))
    roles = [message["info"]["role"] for message in found["messages"]]
    assert roles == ["user", "assistant"]


def test_another_session_has_other_ids() -> None:
    first, second = opened(WHOLE), opened(msgspec.structs.replace(WHOLE, at="elsewhere"))
    ids = {message["info"]["id"] for message in first["messages"]}
    assert not ids & {message["info"]["id"] for message in second["messages"]}
    assert first["info"]["id"] != second["info"]["id"]


def test_what_opencode_is_to_import_is_named_whole(tmp_path: Path) -> None:
    written = WRITERS["opencode"].write(talk(user("Go."), cwd="/srv/a b"), tmp_path)
    (name,) = written.files
    assert f"opencode import {tmp_path / name}" in written.command
    assert written.command.startswith("cd '/srv/a b' && ")


# --- losses ------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", OURS)
def test_what_is_not_understood_is_named_in_its_place(agent: str, tmp_path: Path) -> None:
    odd = talk(
        user(
            "See.",
            Unknown("hologram", {"type": "hologram"}),
            Image(url="https://example.org/x.png"),
        )
    )
    written = WRITERS[agent].write(odd, tmp_path)
    said = b"".join(written.files.values())
    assert b"[hologram block, not shown]" in said
    losses = {loss.what: loss for loss in written.losses}
    assert losses[lost.BLOCKS].where == (f"{'0' * 32}:1",)
    assert (lost.MEDIA in losses) is (agent != "codex"), "Codex takes a picture by its address"


@pytest.mark.parametrize("agent", OURS)
@pytest.mark.parametrize("time_ms", [-5, 0, 2**62])
def test_a_time_that_no_calendar_has_is_none(agent: str, time_ms: int, tmp_path: Path) -> None:
    odd = talk(user("See."), bot("Yes."), created_ms=time_ms)
    messages = tuple(msgspec.structs.replace(m, time_ms=time_ms) for m in odd.messages)
    written = WRITERS[agent].write(msgspec.structs.replace(odd, messages=messages), tmp_path)
    assert put(tmp_path, written.files, dry_run=True)
    assert str(2**62).encode() not in b"".join(written.files.values())


@pytest.mark.parametrize("agent", OURS)
@pytest.mark.parametrize(
    "cwd", ["/", "/srv/../../x", "/srv/a\nb", "/srv/\ud800", "/srv/" + "x" * 400]
)
def test_a_hostile_folder_leads_nowhere(agent: str, cwd: str, tmp_path: Path) -> None:
    target = tmp_path / "agent"
    put(target, WRITERS[agent].write(talk(user("See.")), target).files)
    put(target, WRITERS[agent].write(talk(user("See."), cwd=cwd), target).files)
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


# --- compactions -------------------------------------------------------------------------


@pytest.mark.parametrize("agent", WRITERS)
@pytest.mark.parametrize(
    "kept",
    [
        (user("[summary] We met."), bot("Good.")),
        (
            bot(ToolCall("c1", "date", "{}")),
            tools(gave("c1", "Thu Jan  1")),
            Message("assistant", (Text("So far: we met."),), summary=True, meta=True),
            user("Go on."),
        ),
    ],
    ids=["an unmarked summary", "a summary behind what was kept"],
)
def test_what_a_compaction_hid_stays_hidden_whatever_leads(
    agent: str, kept: tuple[Message, ...], tmp_path: Path
) -> None:
    told = talk(*kept, earlier=(user("Who are you?"), bot("Nobody.")))
    written = WRITERS[agent].write(told, tmp_path)
    assert b"Who are you?" in b"".join(written.files.values())
    seen = flat(read_back(agent, told), agent)
    stands_in = lost.SUMMARY in {loss.what for loss in written.losses}
    assert seen[: stands_in or 0] == [("user", base.EARLIER)] * stands_in
    assert seen[stands_in or 0 :] == flat(told.messages, agent)


@pytest.mark.parametrize("agent", WRITERS)
def test_what_a_summary_holds_beside_its_words_is_counted(agent: str, tmp_path: Path) -> None:
    summary = Message("user", (Text("We met."), Image("image/png", PIXEL)), summary=True)
    told = talk(summary, user("Go on."))
    written = WRITERS[agent].write(told, tmp_path)
    held = PIXEL.encode() in b"".join(written.files.values())
    assert held or lost.MEDIA in {loss.what for loss in written.losses}


def test_a_summary_that_is_all_there_is_is_read_from_pi_without_a_note(tmp_path: Path) -> None:
    summary = Message("user", (Text("We met."),), summary=True)
    told = talk(summary, earlier=(user("Who are you?"), bot("Nobody.")))
    (seen,) = read_back("pi", told)
    assert (seen.summary, seen.text) == (True, "We met.")


# --- what was changed is told ------------------------------------------------------------


@pytest.mark.parametrize("agent", [*OURS, "claude-code"])
def test_a_tool_whose_name_is_refused_is_counted(agent: str, tmp_path: Path) -> None:
    call = bot(ToolCall("c1", "[cut for you]", "{}"))
    told = talk(user("Go."), call, tools(gave("c1", "ok")))
    written = WRITERS[agent].write(told, tmp_path)
    assert b"[cut for you]" not in b"".join(written.files.values())
    assert lost.NAMES in {loss.what for loss in written.losses}


def test_a_prompt_that_is_put_before_an_answer_is_counted(tmp_path: Path) -> None:
    for told, counted in ((talk(bot("I begin.")), True), (talk(user("Go."), bot("I go.")), False)):
        losses = {loss.what for loss in WRITERS["opencode"].write(told, tmp_path).losses}
        assert (lost.BEGIN in losses) is counted
