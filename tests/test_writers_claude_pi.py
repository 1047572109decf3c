"""Claude Code's and pi's sessions, written: what is read back is what was said, but for what the
writer itself says it left out.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clew
from clew.conversing import conversation
from clew.importers import claude_code as claude_importer
from clew.importers import pi as pi_importer
from clew.model import (
    File,
    Image,
    Message,
    Part,
    Position,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.shapes.base import as_object, left_out
from clew.writers import Conversation, Written, claude_code, lost, pi
from clew.writers.base import Losses, Writer, checked_path, digest
from clew.writers.settling import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

GOLDEN = Path(__file__).resolve().parent / "golden" / "writers"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
WRITERS: dict[str, Writer] = {"claude-code": claude_code, "pi": pi}
numbers = itertools.count()


def talk(messages: Sequence[Message], **facts: Any) -> Conversation:
    """A conversation as the ledger would give it."""
    losses = Losses()
    known = {"session": "0" * 32, "at": f"{'0' * 32}:9", "cwd": "/home/mo/work.d"}
    earlier = settled(facts.pop("earlier", ()), losses)
    ready = settled(messages, losses)
    return Conversation(messages=ready, earlier=earlier, **{**known, **facts})


def write(agent: str, conversation: Conversation, target: Path = Path("/none")) -> Written:
    written = WRITERS[agent].write(conversation, target)
    assert WRITERS[agent].write(conversation, target) == written, "the same each time"
    for path, raw in written.files.items():
        assert str(checked_path(path)) == path
        assert raw.endswith(b"\n")
        for line in raw.splitlines():
            json.loads(line)
    return written


class Said(NamedTuple):
    """What one message says, in words that every format has."""

    role: str
    meta: bool
    texts: tuple[str, ...]
    calls: tuple[tuple[str, str, str], ...]
    results: tuple[tuple[str, str, bool], ...]
    media: tuple[tuple[str | None, str | None], ...]


def said(messages: Sequence[Message]) -> list[Said]:
    told = [_said(message) for message in messages]
    return [each for each in told if any(each[2:])]


def _said(message: Message) -> Said:
    results = tuple(
        (part.call_id, _words(part.parts), part.is_error) for part in message.tool_results
    )
    calls = tuple(
        (part.id, part.name, json.dumps(as_object(part.arguments), sort_keys=True))
        for part in message.tool_calls
    )
    media = tuple((p.media_type, p.data) for p in _media(message.parts))
    texts = tuple(p.text for p in message.parts if isinstance(p, Text) and p.text.strip())
    return Said(message.role, message.meta, texts, calls, results, media)


def _words(parts: Sequence[Part]) -> str:
    return "\n".join(p.text for p in parts if isinstance(p, Text) and p.text.strip())


def _media(parts: Sequence[Part]) -> Iterator[Image]:
    for part in parts:
        if isinstance(part, Image):
            yield part
        elif isinstance(part, ToolResult):
            yield from _media(part.parts)


def expected(agent: str, messages: Sequence[Message]) -> list[Said]:
    """What should be read back: everything but what a format is known to have no place for."""
    begun, out = False, []
    for message in messages:
        if message.role == "system" and not begun:
            continue  # a system prompt
        begun = True
        if message.role == "system":
            words = f"<system>\n{message.text}\n</system>" if message.text.strip() else ""
            message = Message("user", (Text(words),), meta=True)
        elif message.role == "tool" and agent == "claude-code":
            message = msgspec.structs.replace(message, parts=tuple(map(_told, message.parts)))
        out.append(message)
    return said(out)


def _told(part: Part) -> Part:
    """An error holds words only at Anthropic's: a picture in it is named."""
    if not isinstance(part, ToolResult) or not part.is_error:
        return part
    parts = [Text(left_out(each)) if isinstance(each, Image) else each for each in part.parts]
    return msgspec.structs.replace(part, parts=tuple(parts))


def read_back(folder: Path, written: Written) -> Conversation:
    """Write the files, import them, and give what a ledger then holds."""
    root = folder / str(next(numbers))
    for path, raw in written.files.items():
        file = root / path
        file.parent.mkdir(parents=True)
        file.write_bytes(raw)
    with clew.open("sqlite:///:memory:", search=False) as ledger:
        done = ledger.import_from(root)
        assert (done.sessions_new, done.notes) == (1, [])
        (info,) = ledger.sessions()
        assert info.imported_from is not None
        assert info.imported_from.endswith(written.session)
        back, losses = conversation(ledger, ledger.get(info.id))
    assert not [loss for loss in losses if "result" in loss.what], "all calls are answered"
    return back


# --- what is said ------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(words, json_values, max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
images = st.just(Image("image/png", PNG))
ids = st.sampled_from(["t1", "t2", "t3", "toolu_01"])
names = st.sampled_from(["Bash", "read_file", "mcp__x__y"])
texts = words.map(Text)
results = st.builds(ToolResult, ids, st.lists(texts | images, max_size=2).map(tuple), st.booleans())
thoughts = st.builds(Thinking, words, st.none() | st.just("c2lnbmVk"))
answers = st.builds(
    Message,
    st.just("assistant"),
    st.lists(texts | thoughts | st.builds(ToolCall, ids, names, arguments), max_size=4).map(tuple),
    model=st.sampled_from([None, "claude-sonnet-4-5", "gpt-5", "gemini-3-pro"]),
    usage=st.none() | st.just(Usage("k", "m", None, 5, 6)),
    format=st.sampled_from(["anthropic", "openai-chat", None]),
    time_ms=st.integers(1_700_000_000_000, 1_700_000_900_000),
)
prompts = st.builds(
    Message,
    st.just("user"),
    st.lists(texts | images, min_size=1, max_size=2).map(tuple),
    meta=st.booleans(),
    time_ms=st.sampled_from([0, 1_700_000_000_000]),
)
tools = st.builds(Message, st.just("tool"), st.lists(results, min_size=1, max_size=3).map(tuple))
systems = st.builds(Message, st.just("system"), texts.map(lambda text: (text,)))
talks = st.lists(prompts | answers | tools | systems, min_size=1, max_size=12)


def mendable(messages: Sequence[Message]) -> bool:
    return any(m.role != "system" and any(_said(m)[2:]) for m in settled(messages, Losses()))


@pytest.mark.parametrize("agent", WRITERS)
@given(messages=talks.filter(mendable), earlier=talks | st.just([]), lead=st.booleans())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    agent: str,
    messages: list[Message],
    earlier: list[Message],
    lead: bool,
) -> None:
    if not settled(earlier, Losses()):
        earlier = []
    summary = [Message("user", (Text("They spoke of it."),), summary=True)]
    lead = lead or bool(earlier)
    told = talk(
        [*(summary if lead else []), *messages],
        earlier=earlier,
        session=f"{next(numbers):032x}",
        created_ms=1_700_000_000_000,
    )
    back = read_back(tmp_path_factory.mktemp("back"), write(agent, told))
    assert back.messages[0].summary == lead
    lead_in, rest = told.messages[:lead], told.messages[lead:]
    assert said(back.messages[:lead]) == said(lead_in)
    # What is before the summary begins the talk: no system message behind it is the first.
    begun = [Message("user", (Text("-"),))] if lead else []
    assert said(back.messages[lead:]) == expected(agent, [*begun, *rest])[len(begun) :]
    assert said(back.earlier) == expected(agent, told.earlier)


@given(messages=talks)
def test_every_loss_is_counted(messages: list[Message]) -> None:
    told = talk(messages)
    for agent in WRITERS:
        try:
            written = write(agent, told)
        except clew.Invalid:
            assert not mendable(messages)
            continue
        counted = Counter({loss.what: loss.count for loss in written.losses})
        assert counted[lost.USAGE] == sum(m.usage is not None for m in told.messages)
        systems_ = [m for m in told.messages if m.role == "system"]
        assert counted[lost.SYSTEM] + counted[lost.MIDDLE] <= len(systems_)
        sealed = [
            part
            for m in told.messages
            for part in m.parts
            if isinstance(part, Thinking) and (part.signature is None or m.format != "anthropic")
        ]
        if agent == "claude-code":
            assert counted[lost.REASONING] == len(sealed), "it replays signed reasoning alone"
        else:
            assert counted[lost.REASONING] == sum(part.signature is not None for part in sealed)


# --- piece by piece ----------------------------------------------------------------------


def test_a_conversation_as_the_programs_write_it() -> None:
    at = (Position("0" * 32, 1),)
    messages = [
        Message("user", (Text("List the files."),), time_ms=1_777_000_000_000, at=at),
        Message(
            "assistant",
            (
                Thinking("A listing.", signature="c2lnbmVk"),
                Text("Here they are."),
                ToolCall("toolu_01", "Bash", '{"command": "ls"}'),
                ToolCall("toolu_02", "Read", '{"path": "a.txt"}'),
            ),
            model="claude-sonnet-4-5",
            format="anthropic",
            time_ms=1_777_000_001_000,
            usage=Usage("k", "claude-sonnet-4-5", "anthropic", 10, 20),
            at=at,
        ),
        Message(
            "tool",
            (
                ToolResult("toolu_01", (Text("a.txt"),)),
                ToolResult("toolu_02", (Text("no such file"),), is_error=True),
            ),
            time_ms=1_777_000_002_000,
        ),
        Message("user", (Text("The date changed."),), meta=True),
        Message("user", (Text("And this?"), Image("image/png", "iVBORw0KGgo="))),
        Message("assistant", (Text("A picture."),), model="claude-sonnet-4-5", format="anthropic"),
    ]
    facts = {"title": "Files", "created_ms": 1_777_000_000_000, "model": "claude-sonnet-4-5"}
    earlier = [Message("user", (Text("Long ago."),), time_ms=1_776_000_000_000)]
    summary = Message("user", (Text("They met."),), summary=True, time_ms=1_776_500_000_000)
    told = talk([summary, *messages], earlier=earlier, **facts)
    for agent in WRITERS:
        ((path, raw),) = write(agent, told).files.items()
        golden = GOLDEN / f"{agent}.jsonl"
        assert raw.decode().splitlines() == golden.read_text().splitlines(), agent
        assert path.startswith(("projects/-home-mo-work-d/", "sessions/--home-mo-work.d--/"))
        importer: ModuleType = claude_importer if agent == "claude-code" else pi_importer
        assert importer.identify(golden)


@pytest.mark.parametrize(
    ("part", "loss"),
    [
        (Unknown("odd", {"type": "odd"}), lost.BLOCKS),
        (File("a.bin", "application/x-odd", "AAAA"), lost.MEDIA),
        (Image(url="ftp://x/y.png"), lost.MEDIA),
        (Text(" \n"), lost.EMPTY),
    ],
)
def test_what_a_prompt_cannot_hold_is_told(part: Part, loss: str) -> None:
    at = Position("a" * 32, 7)
    told = talk([Message("user", (Text("See:"), part), at=(at,))])
    for agent in WRITERS:
        found = {each.what: each for each in write(agent, told).losses}
        assert (found[loss].count, found[loss].where) == (1, (f"{'a' * 32}:7",)), agent


def test_what_an_answer_cannot_hold_is_told() -> None:
    parts = (
        ToolCall("c 1", "free", '"*** Begin Patch"'),
        ToolCall("c2", "torn", '{"a": '),
        ToolCall("c3", "a tool: with spaces", ""),
        Thinking(data="c2VhbGVk"),
        Image("image/png", PNG),
    )
    losses = Losses()
    ready = settled([Message("assistant", parts, format="openai-responses")], losses)
    assert {loss.what: loss.count for loss in losses.listed()} == {
        "calls without a result, answered in the tool's place": 3,
        "ids of calls, replaced by ones that are unique": 1,
    }
    told = talk(ready)
    counts = {a: {x.what: x.count for x in write(a, told).losses} for a in WRITERS}
    both = {lost.INPUT: 2, lost.REASONING: 1, lost.MEDIA: 1}
    assert counts == {"claude-code": {**both, lost.NAMES: 1}, "pi": both}


def test_each_answer_has_its_results_right_behind_it() -> None:
    """Agents take a call that is not answered at once for one that never was."""
    asked = [
        Message("assistant", (ToolCall("t1", "Bash"),)),
        Message("assistant", (Text("And:"), ToolCall("t2", "Bash"), ToolCall("t3", "Bash"))),
        Message("assistant", (Text("Wait."),)),
    ]
    given_ = [Message("tool", (ToolResult(id, (Text(id),)),)) for id in ("t3", "t1", "t2")]
    ready = settled([*asked, *given_, Message("user", (Text("Well?"),))], Losses())
    told = [(m.role, [part.call_id for part in m.tool_results]) for m in ready]
    assert told == [
        ("assistant", []),
        ("tool", ["t1"]),
        ("assistant", []),
        ("tool", ["t2", "t3"]),
        ("assistant", []),
        ("user", []),
    ]
    assert settled(ready, Losses()) == ready


def test_a_summary_that_is_not_there_is_stood_in_for(tmp_path: Path) -> None:
    told = talk(
        [Message("user", (Text("Go on."),))],
        earlier=[Message("user", (Text("Begin."),))],
        session="b" * 32,
    )
    written = write("pi", told)
    assert lost.SUMMARY in {loss.what for loss in written.losses}
    back = read_back(tmp_path, written)
    assert [m.text for m in back.messages][1:] == ["Go on."]
    assert [m.text for m in back.earlier] == ["Begin."]


def test_a_text_that_is_said_twice_is_read_twice(tmp_path: Path) -> None:
    twice = (Text("Yes."), Text("Yes."))
    told = talk([Message("user", (Text("Sure?"),)), Message("assistant", twice)])
    for agent in WRITERS:
        back = read_back(tmp_path, write(agent, told))
        assert said(back.messages)[1].texts == ("Yes.", "Yes.")


def test_a_compaction_never_stands_between_a_call_and_its_result() -> None:
    told = talk(
        [
            Message("user", (Text("They met."),), summary=True),
            Message("assistant", (ToolCall("t1", "Bash"),)),
            Message("tool", (ToolResult("t1", (Text("ok"),)),)),
            Message("user", (Text("Good."),)),
        ]
    )
    (raw,) = write("pi", told).files.values()
    entries = [json.loads(line) for line in raw.splitlines()]
    roles = [entry.get("message", entry).get("role", entry["type"]) for entry in entries]
    assert roles == ["session", "assistant", "toolResult", "compaction", "user"]
    assert entries[3]["firstKeptEntryId"] == entries[1]["id"]


def test_no_two_entries_of_pis_share_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    real = digest

    def few(conversation: Conversation, *names: str) -> bytes:
        """Eight ids for all first tries."""
        drawn = real(conversation, *names)
        return bytes([drawn[0] % 8]) * 32 if names[-1] == "0" else drawn

    monkeypatch.setattr("clew.writers.pi.digest", few)
    told = talk([Message("user", (Text(str(number)),)) for number in range(40)])
    (raw,) = write("pi", told).files.values()
    entries = [json.loads(line) for line in raw.splitlines()[1:]]
    assert len({entry["id"] for entry in entries}) == 40
    assert [entry["parentId"] for entry in entries[1:]] == [entry["id"] for entry in entries[:-1]]


def test_a_folder_is_never_an_option_of_cd() -> None:
    told = talk([Message("user", (Text("Hello"),))], cwd="-P $(x)")
    for agent in WRITERS:
        assert write(agent, told).command.startswith("cd -- '-P $(x)' && ")


def test_another_state_of_a_session_is_another_session() -> None:
    one = talk([Message("user", (Text("Hello"),))])
    for agent in WRITERS:
        others = [
            msgspec.structs.replace(one, at="x:10"),
            msgspec.structs.replace(one, session="1" * 32),
            msgspec.structs.replace(one, cwd="/elsewhere"),
        ]
        found = {write(agent, each).session for each in [one, *others]}
        assert len(found) == 4


@pytest.mark.parametrize(
    ("cwd", "slug"),
    [
        ("/home/mo/work.d", "-home-mo-work-d"),
        ("C:\\Users\\mo_x", "C--Users-mo-x"),
        ("/ü/😀", "-----"),
        ("/" + "a" * 199, "-" + "a" * 199),
        ("/" + "a" * 200, "-" + "a" * 199 + "-b6ymvl"),
    ],
)
def test_the_folder_of_a_project_is_named_as_claude_code_names_it(cwd: str, slug: str) -> None:
    assert claude_code.slug(cwd) == slug


@pytest.mark.parametrize(
    ("cwd", "slug"),
    [
        ("/home/mo/work.d", "--home-mo-work.d--"),
        ("C:\\Users\\mo", "--C--Users-mo--"),
        ("/", "----"),
        ("/../..", "--..-..--"),
        ("/a\nb", "--a-b--"),
    ],
)
def test_the_folder_of_a_project_is_named_as_pi_names_it(cwd: str, slug: str) -> None:
    assert pi.slug(cwd) == slug


@given(cwd=st.text(max_size=400), title=st.text(max_size=40), words=st.text(max_size=80))
def test_nothing_that_is_said_leads_out_of_the_folder(cwd: str, title: str, words: str) -> None:
    told = talk([Message("user", (Text("-"), Text(words)))], cwd=cwd or None, title=title)
    for agent in WRITERS:
        write(agent, told)


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", "a/..", "a\0", "a\\b", "x" * 300])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(clew.Invalid, match="nothing was written"):
        checked_path(path)


def test_nothing_is_written_of_nothing() -> None:
    for agent in WRITERS:
        with pytest.raises(clew.Invalid, match="says nothing"):
            write(agent, talk([]))
