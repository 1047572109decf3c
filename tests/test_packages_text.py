"""Sessions as files to be read: Markdown and HTML that hold hostile text and do nothing.

`CLEW_REGENERATE=1 pytest tests/test_packages_text.py` writes the golden files anew.
"""

from __future__ import annotations

import copy
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from browser import hostile as hostile_strings
from clew.clean import plain as without_controls
from clew.exporters.base import line
from clew.exporters.formats import FORMATS
from clew.exporters.packages import html, markdown
from clew.exporters.packages.naming import file_name
from clew.exporters.packages.prose import CHARS_MAX, code, escaped, fenced, heading, written
from clew.exporters.packages.told import STATES
from clew.redaction import Redactor
from packages_rows import HOSTILE, call, compacted, hostile, plain, result, row, rows, said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

GOLDEN = Path(__file__).parent / "golden" / "packages"
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
"""How others read Markdown: with HTML."""
FRAGMENTS = st.sampled_from(
    [
        *HOSTILE,
        *"\n\t-*+>#`~_[]()<|\\&!=:${}aBé\U0001f9f5\u00a0\u2028 ",
        "\n\n", "    ", "- ", "1. ", "2) ", "> ", "# ", "```", "~~~", "``", "**", "__", "~~",
        "[a](http://x)", "</details>", "|-|", "mailto:a@b", "---", "***", "===", "1986.",
        "foo_bar", "<!--", "<?", "- a\n", "  - b\n", "| a | b |\n|---|---|\n| c | d |\n", "\r\n",
    ]
)  # fmt: skip
TEXTS = st.lists(FRAGMENTS | st.text(max_size=5), max_size=10).map("".join)


# --- golden files --------------------------------------------------------------------------


@pytest.mark.parametrize("made", rows(), ids=["plain", "compacted", "hostile"])
@pytest.mark.parametrize("module", [markdown, html], ids=["markdown", "html"])
def test_golden_files(module: Any, made: dict[str, Any]) -> None:
    name, data = module.file(copy.deepcopy(made))
    path = GOLDEN / name
    if os.environ.get("CLEW_REGENERATE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert data == path.read_bytes()
    assert module.file(made) == (name, data), "equal rows, equal bytes"


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_the_registry_names_them(name: str) -> None:
    shape = FORMATS[name]
    assert shape.file is not None
    assert not shape.lines
    assert shape.each is None, "they are made from native rows"


# --- names of files ------------------------------------------------------------------------

RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


@given(id=st.text(max_size=200), other=st.text(max_size=200))
def test_a_name_is_safe_everywhere_and_one_for_each_session(id: str, other: str) -> None:
    name, second = (file_name({"session_id": each}, ".md") for each in (id, other))
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.id-[0-9a-f]{16})?\.md", name)
    assert name.split(".")[0].lower() not in RESERVED
    assert len(name) <= 120
    assert (name.lower() == second.lower()) == (id == other), "file systems may ignore case"


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("01a1ff5b12f37005", "01a1ff5b12f37005.md"),
        ("0197-b_c", "0197-b_c.md"),
        ("../../etc/passwd", r"etc_passwd\.id-[0-9a-f]{16}\.md"),
        ("ses_AbC", r"ses_AbC\.id-[0-9a-f]{16}\.md"),
        ("nul", r"session_nul\.id-[0-9a-f]{16}\.md"),
        ("", r"session\.id-[0-9a-f]{16}\.md"),
        ("a.md", r"a_md\.id-[0-9a-f]{16}\.md"),
        ("x" * 300, "x" * 80 + r"\.id-[0-9a-f]{16}\.md"),
    ],
)
def test_names(id: str, name: str) -> None:
    assert re.fullmatch(name, file_name({"session_id": id}, ".md"))


def test_the_rows_of_one_session_have_names_of_their_own() -> None:
    head = {"session_id": "s1", "branch_id": "s1:9", "branch": "head"}
    left = {"session_id": "s1", "branch_id": "s1:7", "branch": "left"}
    names = [
        file_name(each, ".md")
        for each in (
            head, left, {**left, "branch_id": "other:7"}, {**head, "segment": 0},
            {**head, "segment": 1}, {**head, "turn": 1}, {**head, "segment": 1, "step": 1},
            {**head, "segment": "../x"}, {**left, "segment": 1},
        )
    ]  # fmt: skip
    assert len(set(names)) == len(names)
    assert names[0] == "s1.md"
    assert names[1] == "s1.left-7.md"
    assert names[3] == "s1.segment-0.md"
    assert names[6] == "s1.segment-1.step-1.md"
    assert not any("/" in name for name in names)


# --- words that stay where they are put ----------------------------------------------------


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _does_nothing(tokens: list[Token]) -> None:
    for token in _all(tokens):
        assert token.type not in ("html_block", "html_inline", "image")
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("http://", "https://", "mailto:"))


@given(text=TEXTS)
def test_words_end_nothing_and_do_nothing(text: str) -> None:
    tokens = READER.parse(f"# A\n\n{written(text)}\n\n# B\n")
    _does_nothing(tokens)
    assert (tokens[0].tag, tokens[1].content) == ("h1", "A")
    assert (tokens[-3].tag, tokens[-3].level, tokens[-2].content) == ("h1", 0, "B")
    assert not [token for token in tokens[3:-3] if token.tag in ("h1", "h2")]


@pytest.mark.parametrize("text", hostile_strings.strings())
def test_what_attacks_pages_ends_nothing_either(text: str) -> None:
    tokens = READER.parse(f"# A\n\n{written(text)}\n\n# B\n")
    _does_nothing(tokens)
    assert (tokens[-3].tag, tokens[-2].content) == ("h1", "B")
    looked_at(row([said(1, "user", text), said(2, "assistant", text)], title=text))


@given(text=TEXTS)
def test_a_fence_holds_the_text_as_it_is(text: str) -> None:
    tokens = READER.parse(f"a\n\n{fenced(text)}\n\nb")
    [fence] = [token for token in tokens if token.type == "fence"]
    assert fence.content.removesuffix("\n") == without_controls(text).removesuffix("\n")
    assert tokens[-2].content == "b"


@given(text=TEXTS)
def test_a_line_of_text_is_only_text(text: str) -> None:
    for made in (
        escaped(text),
        heading(1, text),
        f"*{escaped(text)}*",
        f"- **x:** {escaped(text)}",
    ):
        tokens = READER.parse(made)
        _does_nothing(tokens)
        assert not any(token.type == "link_open" for token in _all(tokens))
        assert sum(token.type == "inline" for token in tokens) <= 1
    shown = "".join(
        token.content for token in _all(READER.parse(escaped(text))) if not token.children
    )
    assert shown.strip() == " ".join(without_controls(text).split()).strip()


@given(text=TEXTS)
def test_a_line_of_code_is_only_code(text: str) -> None:
    made = code(text)
    if made:
        [child] = READER.parse(f"x {made} y")[1].children[1:-1] or []  # type: ignore[index]
        assert child.type == "code_inline"
        assert child.content.strip() == " ".join(without_controls(text).split())


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("**two** files, *now*, ~~never~~", "**two** files, *now*, ~~never~~"),
        ("a_b __c__", "a_b **c**"),
        ("`x`, `` a`b ``, `` ` ``", "`x`, ``a`b``, `` ` ``"),
        ("# top\n\nunder\n---", "### top\n\n#### under"),
        ("- a\n- b\n  - c", "- a\n- b\n  - c"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("* a\n\n+ b", "- a\n\n* b"),
        ("> q\n\n***", "> q\n\n***"),
        ("| a | b |\n|:-:|--|\n| `x\\|y` | 2 |", "| a | b |\n| :-: | --- |\n| `x\\|y` | 2 |"),
        ("~~~py\nx\n~~~", "```py\nx\n```"),
        ("    x = 1", "```text\nx = 1\n```"),
        ("[t](https://x.org/a_b)", "[t](<https://x.org/a_b>)"),
        ("[t](javascript:alert(1))", "\\[t\\](javascript:alert(1))"),
        ("[t](/etc/passwd)", "t"),
        ("![c](http://evil/x.png)", "\\[c: http://evil/x.png\\]"),
        ("<b>x</b> &amp; y", "&lt;b&gt;x&lt;/b&gt; &amp; y"),
        ("one\ntwo", "one  \ntwo"),
        ("1986\\. a year\n\\- no list", "1986\\. a year  \n\\- no list"),
        (" \n ", ""),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_what_markdown_means_is_kept(text: str, made: str) -> None:
    assert written(text) == made


def test_what_cannot_be_said_with_the_same_words_is_fenced() -> None:
    text = "&#9;&#9;x"
    assert written(text) == f"```text\n{text}\n```"
    long = "word " * (CHARS_MAX // 5 + 1)
    assert written(long) == fenced(long)


# --- the Markdown file ---------------------------------------------------------------------


def test_a_hostile_session_keeps_the_order_of_the_file() -> None:
    made = hostile()
    text = markdown.document(made)
    tokens = READER.parse(text)
    headings = [
        tokens[n + 1].content
        for n, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0
    ]
    assert headings == ["User", "Agent", "User"] * len(HOSTILE)
    for token in _all(tokens):
        assert token.type not in ("html_inline", "image")
        if token.type == "html_block":
            assert re.fullmatch(
                r"(<details>\n<summary>[^<>]*</summary>|</details>)\n?", token.content
            )
    opened = re.findall(r"^<(/?)details>$", text, re.MULTILINE)
    assert opened.count("") == opened.count("/")
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_results_and_arguments_are_fenced_as_they_are() -> None:
    tokens = READER.parse(markdown.document(hostile()))
    fences = [token.content.rstrip("\n") for token in tokens if token.type == "fence"]
    for text in HOSTILE:
        # As arguments that do not parse, and as a result.
        assert fences.count(without_controls(text).rstrip("\n")) >= 2, text


def test_a_long_result_is_folded_and_whole() -> None:
    text = "\n".join(f"line {n}" for n in range(500))
    made = row([said(1, "assistant", "", tool_calls=[call("c", "Bash", "{}")]),
                result(2, "c", "Bash", text)])  # fmt: skip
    shown = markdown.document(made)
    assert f"<summary>Result (1.0 s), 500 lines, {len(text):,} characters</summary>" in shown
    assert text in shown


# --- the HTML file -------------------------------------------------------------------------

TAGS = (
    "html head meta link title style body header h1 h2 h3 h4 h5 h6 dl div dt dd details summary "
    "ol ul li a main p article time span pre code footer table thead tbody tr th td blockquote "
    "hr br em strong s"
)
ATTRIBUTES = "lang charset http-equiv content name rel href id class title datetime target start"
VOID = {"meta", "link", "br", "hr"}


class Looked(HTMLParser):
    """Reads a page and holds it to what it may be; keeps the text of every `pre`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.pres: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        assert tag in TAGS.split(), tag
        assert set(told) <= set(ATTRIBUTES.split()), told
        if tag not in VOID:
            self.open.append(tag)
        if tag == "pre":
            self.pres.append("")
        if tag == "a" and told.get("href"):
            self.links.append(str(told["href"]))
        if tag == "link":
            assert told == {"rel": "icon", "href": "data:,"}
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(told["content"])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.pres[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")


def looked_at(made: dict[str, Any]) -> Looked:
    page = Looked()
    page.feed(html.document(made))
    page.close()
    assert page.open == []
    return page


@pytest.mark.parametrize("made", rows(), ids=["plain", "compacted", "hostile"])
def test_a_page_runs_nothing_and_fetches_nothing(made: dict[str, Any]) -> None:
    page = looked_at(made)
    assert page.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in page.policy
    for link in page.links:
        assert link.startswith(("#m", "http://", "https://"))
        assert not link.startswith("#") or link[1:] in page.ids
    assert len(set(page.ids)) == len(page.ids)
    assert {f"m{n + 1}" for n in range(len(made["messages"]))} - set(page.ids) <= {"m7"}


@given(text=TEXTS)
def test_whatever_is_said_a_page_stays_a_page(text: str) -> None:
    made = row(
        [
            said(1, "user", text),
            said(2, "assistant", text, reasoning_content=text,
                 tool_calls=[call(text, text, text)]),
            result(3, text, text, text),
        ],
        title=text, agent=text, model_used=text,
    )  # fmt: skip
    looked_at(made)
    for module in (html, markdown):
        document = module.document(made)
        assert document == without_controls(document), "nothing in it is hidden or reorders text"


def test_results_stand_in_the_page_as_they_are() -> None:
    pres = looked_at(hostile()).pres
    for text in HOSTILE:
        # A line end behind <pre> is not part of its text.
        assert ["\n" + without_controls(text)] * 2 == [
            pre for pre in pres if pre == "\n" + without_controls(text)
        ][:2]


def test_a_long_result_is_folded_behind_its_beginning() -> None:
    text = "\n".join(f"line {n}" for n in range(500))
    made = row([said(1, "assistant", "", tool_calls=[call("c", "Bash", "{}")]),
                result(2, "c", "Bash", text)])  # fmt: skip
    first, rest = looked_at(made).pres[-2:]
    assert first[1:] + rest[1:] == text
    assert first.count("\n") == 41
    assert "460 lines more" in html.document(made)
    one_line = row([said(1, "assistant", "", tool_calls=[call("c", "Bash", "{}")]),
                    result(2, "c", "Bash", "x" * 10_000)])  # fmt: skip
    first, rest = looked_at(one_line).pres[-2:]
    assert (len(first), len(rest)) == (4_001, 6_001)
    assert "6,000 characters more" in html.document(one_line)


def test_arguments_of_several_lines_are_texts_of_their_own() -> None:
    arguments = '{"path":"a.py","content":"import os\\n\\nprint(1)\\n","size":1.0,"big":1e300}'
    made = row([said(1, "assistant", "", tool_calls=[call("c", "Write", arguments)])])
    pres = looked_at(made).pres
    assert pres[0][1:] == '{\n  "path": "a.py",\n  "size": 1.0,\n  "big": 1e300\n}'
    assert pres[1][1:] == "import os\n\nprint(1)\n"


@pytest.mark.parametrize(
    "arguments", ["[" * 100_000, "[" * 500 + "]" * 500, "", "1e999", '"\\ud800"']
)
@pytest.mark.parametrize("module", [markdown, html], ids=["markdown", "html"])
def test_arguments_that_nobody_can_read_are_shown(module: Any, arguments: str) -> None:
    made = row([said(1, "assistant", "", tool_calls=[call("c", "Bash", arguments)])])
    assert "Bash" in module.document(made)


def test_a_page_tells_what_the_row_tells() -> None:
    page = html.document(compacted())
    for told in (
        "Second one", "claude-code", "m-small (acme)", "4 min 3 s", "recovered (error-then-ok",
        "0197-b:7", "s1:4", "s1#c9", "0197-c", "lost results: 1", "4 replacements",
        "sha256 9f86d081884c7d659a2f", "plan.pdf", "hologram", "Reasoning, sealed",
        "error: overloaded", "not to be learned from: after-lost-result", "2,050 → 90 tokens",
        "2.4 s", "tier SIMPLE", "Segment 1", "150,000 → 9,000 tokens", STATES["late"],
        STATES["lost"], "Summary of what was before", "Given to the model, typed by nobody",
    ):  # fmt: skip
        assert told in page, told
    assert "Cost" not in page, "what is not known is not shown"


def test_days_are_told_apart() -> None:
    made = row([said(1, "user", "a"), said(2, "user", "b", time="2026-05-04T00:00:01.000Z")])
    assert html.document(made).count('<p class="day">2026-05-04</p>') == 1
    assert '<p class="day">2026-05-03</p>' not in html.document(made)


@pytest.mark.parametrize("module", [markdown, html], ids=["markdown", "html"])
def test_a_row_that_knows_nothing_is_a_file_too(module: Any) -> None:
    name, data = module.file({"session_id": "s1", "messages": []})
    assert name.startswith("s1.")
    assert b"A session without a title" in data


@pytest.mark.parametrize("module", [markdown, html], ids=["markdown", "html"])
def test_results_without_a_call_and_repeated_ids_lose_nothing(module: Any) -> None:
    made = row(
        [
            result(1, "gone", "Bash", "nobody asked"),
            said(2, "assistant", "", tool_calls=[call("c", "A", "{}"), call("c", "B", "{}")]),
            result(3, "c", "A", "first"),
            result(4, "c", "B", "second"),
        ]
    )
    text = module.document(made)
    for shown in ("nobody asked", "first", "second"):
        assert shown in text


def test_what_shaping_left_out_and_repeated_is_told() -> None:
    made = row(
        [
            said(1, "user", "go"),
            said(2, "user", "[9 messages are left out]", kind="elided", elided={"messages": 9}),
            said(3, "assistant", "done", context=True, train=False, train_rule="earlier-turn"),
        ],
        segment=1, turn=2,
    )  # fmt: skip
    text = markdown.document(made)
    assert "## Left out" in text
    assert "repeated as context" in text
    assert "not to be learned from" not in text
    assert "- **Part:** segment 1, turn 2" in text
    assert "1 request" not in html.document(made)


# --- redaction -----------------------------------------------------------------------------


@pytest.mark.parametrize("module", [markdown, html], ids=["markdown", "html"])
def test_a_redacted_session_passes_the_second_scan(module: Any) -> None:
    secret = "ghp_" + "a8Kd93jfLq0ZxC7vBn2Mm5Tt1Yy6Uu4Rr8W0"
    made = plain()
    made["messages"][0]["content"] = f"DB_PASS=s3cr3tV4lue99 {secret} joe.bloggs@corp-mail.com"
    made["messages"][2]["content"] = f"<password>Tr0ub4dor&3x</password>\napiKey: '{secret}'"
    redactor = Redactor(b"0123456789abcdef-test-key")
    clean = redactor.redact(made)
    text = module.document(clean)
    assert secret not in text
    assert not redactor.scan({"text": text})
    assert redactor.scan({"text": module.document(made)}), "the scan sees into the file"


def test_half_a_character_is_written_as_something_else() -> None:
    made = plain()
    made["messages"][0]["content"] = "half \ud83d of one"
    for module in (markdown, html):
        name, data = module.file(made)
        assert "⟨U+D83D⟩" in data.decode()
        assert name
    assert b"\\ud83d" not in line(made)
