"""The redaction engine: both engines find the same, a first look misses nothing, and what a value
becomes depends on nothing but what it should depend on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clew.redaction.gate
from clew.errors import Invalid
from clew.exporters.base import line
from clew.redaction import RULES, Learned, Redactor, Rule
from clew.redaction.cores import width, within_json
from clew.redaction.find import Finder
from clew.redaction.gate import HYPERSCAN, gate
from clew.redaction.linear import compiled
from clew.redaction.literals import VALUES_MAX, Literals
from clew.redaction.many import Many
from clew.redaction.policy import Action, Policy
from test_redaction import CONTEXTS, KEY, MARKER, PERSONAL, SECRETS, B, P, body

needs_hyperscan = pytest.mark.skipif(
    HYPERSCAN is None, reason="the optional package hyperscan is not installed"
)
ENGINES = [
    pytest.param(False, id="re2"),
    pytest.param(True, id="hyperscan", marks=needs_hyperscan),
]
KNOWN = ("bob's known/secret", 'qu"ote\\back\nslash-77', "zwölf-Fünf-9q", "4815162342")
NAMES = ("Ada Lovelace", "Zürich GmbH", "Bo")

# --- material -----------------------------------------------------------------------------

SAMPLES = [
    *(secret for group in SECRETS.values() for secret in group),
    *(text for text, _, _ in (*CONTEXTS, *PERSONAL)),
    *KNOWN,
    *NAMES,
]
KEYS = ["password", "token", "api_key", "x-api-key", "name", "value", "key", "Value", "note",
        "API key", "contraseña", "max_tokens", "secret_name", "auth", 'a"b password', "n\ntoken",
        "DB_PASSWORD", "id", "ghp_" + B[:36], "ann@corp.com"]  # fmt: skip
_glue = st.sampled_from(["", " ", "\n", "\t", "x", "_", "é", "=", ": ", '"', "\\", "\\n", "/", "€",
                         "\u2028", "\x1b[31m", "\x00", "<", "'", "漢", "%22",
                         "\ud800"])  # fmt: skip
_samples = st.sampled_from(SAMPLES)
_broken = st.tuples(_samples, st.integers(0, 60), st.integers(0, 60)).map(
    lambda one: one[0][one[1] :][: one[2]]
)
_words = st.sampled_from(["the token of", "swordfish-7a", "api_key", "password", "12345678", "ok"])
_text = st.lists(st.one_of(_samples, _broken, _glue, _words, st.text(max_size=4)), max_size=5).map(
    "".join
)
_plain_text = _text.map(lambda text: text.replace("\ud800", ""))


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(texts, st.integers(-(10**22), 10**22), st.booleans(), st.none(), st.floats()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.one_of(st.sampled_from(KEYS), texts), inner, max_size=3),
            inner.map(json.dumps),
            inner.map(lambda value: json.dumps(value, indent=1, ensure_ascii=False)),
        ),
        max_leaves=6,
    )


def no_luck(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def redactor(**more: Any) -> Redactor:
    return Redactor(KEY, known=KNOWN, names=NAMES, **more)


# --- two engines, one result --------------------------------------------------------------


@needs_hyperscan
@no_luck(300)
@given(_text)
def test_both_engines_find_the_same_spans(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert _FINDERS[0].find(data) == _FINDERS[1].find(data)


@needs_hyperscan
@no_luck(150)
@given(values(_text))
def test_both_engines_give_the_same_values(value: Any) -> None:
    one, other = (redactor(hyperscan=use) for use in (False, True))
    assert repr(one.redact(value)) == repr(other.redact(value))
    assert one.counts == other.counts
    assert one.learned_state() == other.learned_state()


@needs_hyperscan
def test_both_engines_take_all_rules() -> None:
    assert type(gate(RULES, hyperscan=True)) is not type(gate(RULES, hyperscan=False))


@needs_hyperscan
def test_a_core_that_hyperscan_refuses_is_found_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = b"zz(?:" + b"|".join(b"%05d" % number for number in range(150)) + b")"
    made = clew.redaction.gate.database

    def picky(expressions: Sequence[bytes], *, literal: bool) -> Any:
        if core in expressions:
            raise HYPERSCAN.HyperscanError("pattern is too large")
        return made(expressions, literal=literal)

    monkeypatch.setattr(clew.redaction.gate, "database", picky)
    rules = (Rule("zz", "SECRET", b"z", core, core), Rule("q", "SECRET", b"q", b"qq9", b"qq9"))
    text = b"z.zz00149 zz00150 zz0014 zz00007 qq9"
    found = [
        (text[one.start : one.end], one.rule) for one in Finder(rules, hyperscan=True).find(text)
    ]
    assert found == [(b"zz00149", "zz"), (b"zz00007", "zz"), (b"qq9", "q")]


_FINDERS = (Finder(RULES, hyperscan=False), Finder(RULES, hyperscan=HYPERSCAN is not None))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_cores_have_a_width_and_a_form_in_json(rule: Any) -> None:
    core = rule.core.removesuffix(rb"\b")
    assert 0 < (width(core) or 0) <= 400
    compiled(within_json(core))


@no_luck(400)
@given(_plain_text, st.sampled_from(RULES), st.integers(1, 3))
def test_what_a_core_matches_its_form_in_json_matches(text: str, rule: Any, depth: int) -> None:
    core = rule.core.removesuffix(rb"\b")
    if compiled(core).search(text.encode()) is not None:
        written = text
        for _ in range(depth):
            written = msgspec.json.encode(written).decode()
        assert compiled(within_json(core)).search(written.encode()) is not None


@pytest.mark.parametrize("core", [b"a(b)", b"^a", b"a\\b", b"(?:a", b"a)"])
def test_syntax_that_cores_do_not_use_is_refused(core: bytes) -> None:
    with pytest.raises(ValueError, match=r"of b'|group|unexpected"):
        width(core)


# --- many exact texts ---------------------------------------------------------------------


@pytest.mark.parametrize("hyperscan", ENGINES)
@no_luck(60)
@given(
    st.lists(st.binary(min_size=1, max_size=12), unique=True, max_size=8),
    st.integers(0, 400),
    st.lists(st.integers(0, 500), max_size=30),
)
def test_every_place_of_every_text_is_found(
    hyperscan: bool, few: list[bytes], count: int, picks: list[int]
) -> None:
    texts = list(
        dict.fromkeys([*few, *(b"%03d-%s" % (n, B[: n % 30].encode()) for n in range(count))])
    )
    many = Many(hyperscan=hyperscan)
    for text in texts:
        many.add(text)
        many.find(b"")
    data = b"".join(texts[pick % len(texts)] if texts else b"x" for pick in picks) + b"zz"
    expected: dict[int, int] = {}
    for text in texts:
        at = data.find(text)
        while at >= 0:
            expected[at] = max(expected.get(at, 0), at + len(text))
            at = data.find(text, at + 1)
    assert many.find(data) == sorted(expected.items())
    assert Many(texts, hyperscan=hyperscan).find(data) == sorted(expected.items())


@pytest.mark.parametrize("hyperscan", ENGINES)
def test_overlapping_values_leave_nothing(hyperscan: bool) -> None:
    one, two = "abcdefgh1-tail", "1-tail-9xyz"
    out = Redactor(KEY, known=[one, two], hyperscan=hyperscan).redact("to abcdefgh1-tail-9xyz go")
    assert MARKER.sub("", out) == "to  go"


def test_a_copy_of_a_set_grows_on_its_own() -> None:
    many = Many([b"first"])
    other = many.copy()
    other.add(b"second")
    assert many.find(b"first second") == [(0, 5)]
    assert other.find(b"first second") == [(0, 5), (6, 12)]


def test_values_beyond_the_limit_are_counted_whatever_their_order() -> None:
    values = [("SECRET", f"value-{number:05d}x") for number in range(VALUES_MAX + 10)]
    shuffled = random.Random(1).sample(values, len(values))
    one, other = Literals(), Literals()
    one.learn(values)
    other.learn(shuffled)
    assert one.found == other.found
    assert one.refused == other.refused == 10
    text = f"{values[0][1]} {values[-1][1]}".encode()
    assert one.find(text) == other.find(text)
    assert len(one.find(text)) == 1


# --- a first look misses nothing ----------------------------------------------------------


@pytest.mark.parametrize("hyperscan", ENGINES)
@no_luck(400)
@given(values(_text))
def test_the_batch_look_agrees_with_a_walk(hyperscan: bool, value: Any) -> None:
    """`touched` may send the walk to a place for nothing, but it may keep it from none."""
    looked, walked = _LOOKS[hyperscan], _LOOKS[not hyperscan]
    assert bool(looked.scan(value)) == bool(_walked(walked, value))


def _walked(one: Redactor, value: Any) -> list[Any]:
    """A scan that goes everywhere."""
    everywhere = one.fresh()
    everywhere._touched = lambda value, look=None: None  # type: ignore[method-assign]
    return everywhere.scan(value)


_LOOKS = {use: redactor(hyperscan=use and HYPERSCAN is not None) for use in (False, True)}


@pytest.mark.parametrize("hyperscan", ENGINES)
@no_luck(600)
@given(values(_plain_text), st.booleans(), st.booleans())
def test_lines_that_are_not_suspect_are_clean(
    hyperscan: bool, value: Any, ours: bool, ascii_only: bool
) -> None:
    if ours:
        try:
            written = line({"row": value})
        except (Invalid, ValueError, OverflowError, msgspec.MsgspecError):
            return
    else:
        written = json.dumps({"row": value}, ensure_ascii=ascii_only, indent=1).encode()
        if b"NaN" in written or b"Infinity" in written:
            return
    one = _LOOKS[hyperscan]
    if one.scan(json.loads(written)):
        assert one.suspects(written)


@pytest.mark.parametrize("hyperscan", ENGINES)
@pytest.mark.parametrize(
    "before", ["", "\n", "\t", '"', "\\", "\u2028", "\x1b[0m", "é", "x\x00", "\\n", "/"]
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_escapes_before_a_token_hide_nothing(hyperscan: bool, before: str, depth: int) -> None:
    one = _LOOKS[hyperscan]
    for sample in SAMPLES:
        value: Any = f"see {before}{sample} there"
        for _ in range(depth):
            value = json.dumps({"out": value})
        if one.scan({"text": value}):
            assert one.suspects(line({"text": value})), sample


@pytest.mark.parametrize("hyperscan", ENGINES)
@pytest.mark.parametrize(
    "value",
    [
        {"password": "swordfish"},
        {"password_of_the_production_database_number_seven": "swordfish"},
        {"secrets": ["swordfish-7"]},
        {"env": [{"name": "DB_PASSWORD", "value": "swordfish"}]},
        {"pin_password": 12345678},
        {"password": '["swordfish"]'},
        {"API key": "swordfish"},
        {"contraseña": "swordfish"},
        {"ПАРОЛЬ": "swordfish"},
        {"Access-Token": P},
        {"n": 4815162342},
        {"ghp_" + B[:36]: 1},
        {"note": "Ada Lovelace was here"},
        {"note": "zwölf-Fünf-9q"},
        {"note": "zwo\u0308lf", "x": KNOWN[1]},
    ],
)
def test_keys_numbers_and_known_values_are_suspect(hyperscan: bool, value: Any) -> None:
    one = _LOOKS[hyperscan]
    for form in (value, {"args": json.dumps(value)}, {"a": json.dumps({"b": json.dumps(value)})}):
        assert one.scan(form)
        assert one.suspects(line(form))
        assert one.suspects(json.dumps(form, indent=2).encode())


@pytest.mark.parametrize("hyperscan", ENGINES)
def test_redacted_lines_are_not_suspect(hyperscan: bool) -> None:
    one = redactor(hyperscan=hyperscan)
    rows = [
        {"messages": [{"role": "user", "content": f"see {sample}\nthere", "args": "{}"}]}
        for sample in SAMPLES
    ]
    rows = [one.redact(one.redact(row)) for row in rows]
    assert [row for row in rows if one.suspects(line(row))] == []
    assert [row for row in rows if one.mentions(line(row))] == []


def test_a_line_that_is_no_json_is_refused_where_it_has_to_be_read() -> None:
    with pytest.raises(ValueError, match="truncated"):
        redactor(hyperscan=False).suspects(b'{"a": ')


# --- what a value becomes -----------------------------------------------------------------


@no_luck(60)
@given(st.lists(values(_plain_text), min_size=2, max_size=4))
def test_the_same_learned_gives_the_same_bytes(rows: list[Any]) -> None:
    """Two units, each with its own rows: what they become does not depend on who was first."""
    half = len(rows) // 2
    units = (rows[:half], rows[half:])

    def run(order: tuple[int, ...]) -> dict[int, list[str]]:
        learned = Learned()
        first: dict[int, list[Any]] = {}
        for number in order:
            one = _LOOKS[False].fresh()
            first[number] = [one.redact(row) for row in units[number]]
            learned |= one.learned_state()
        out = {}
        for number in order:
            one = _LOOKS[False].fresh()
            one.learn(learned)
            out[number] = [repr(one.redact(row)) for row in first[number]]
        return out

    assert run((0, 1)) == run((1, 0))


def test_fresh_has_learned_nothing() -> None:
    one = redactor()
    one.redact("DB_PASSWORD=q8Zx71bbTr")
    assert one.learned_state().values == {("SECRET", "q8Zx71bbTr")}
    other = one.fresh()
    assert other.learned_state() == Learned()
    assert other.counts == {}
    assert other.redact("see q8Zx71bbTr") == "see q8Zx71bbTr"


def test_placeholders_of_others_are_taken_for_ours_once_they_are_learned() -> None:
    first = redactor()
    out = first.redact("write to ann@corp.com")
    other = first.fresh()
    assert other.redact(out) != out
    learner = first.fresh()
    learner.learn(first.learned_state())
    assert learner.redact(out) == out
    assert learner.scan(out) == []


def test_a_value_found_in_another_unit_goes_in_every_form() -> None:
    secret = 'pa"ss/wo\\rd9X'
    first = redactor()
    first.redact({"password": secret})
    other = first.fresh()
    other.learn(first.learned_state())
    rows = ["see " + secret, json.dumps({"note": secret}), json.dumps(json.dumps([secret]))]
    for row in rows:
        written = line({"row": row})
        assert other.mentions(written)
        assert other.suspects(written)
        assert "wo" not in MARKER.sub("", other.redact(row))


# --- names, detectors, policies -----------------------------------------------------------


def test_names_go_as_whole_words_in_the_usual_cases() -> None:
    one = redactor()
    out = one.redact("ADA LOVELACE, Ada Lovelaces, ada lovelace; Bo, Bob, Boé, zürich gmbh.")
    assert (
        MARKER.sub("*", out.replace("<NAME_", "<USER_")) == "*, Ada Lovelaces, *; *, Bob, Boé, *."
    )
    assert one.counts == {"listed-name": 4}


def test_a_name_has_one_placeholder_in_all_cases() -> None:
    one = redactor()
    assert one.redact("Ada Lovelace") == one.redact("ADA LOVELACE")


@pytest.mark.parametrize(
    "text",
    [
        "ADA Lovelace",
        "ada LOVELACE",
        "Ada_Lovelace",
        "ADA_LOVELACE",
        "ada-lovelace",
        "ada.lovelace",
        "Ada  Lovelace",
        "Ada\nLovelace",
        "Ada\r\nLovelace",
        "AdaLovelace",
    ],
)
def test_a_name_goes_however_its_words_are_joined(text: str) -> None:
    one = redactor()
    for form in (text, json.dumps({"x": text})):
        assert MARKER.search(str(one.redact(form)))
        assert "ovelace" not in str(one.redact(form)).lower()
    assert one.redact(text) == one.redact("Ada Lovelace")
    assert one.redact(["Ada", "Lovelace"]) == ["Ada", "Lovelace"]


def test_too_short_names_are_refused() -> None:
    with pytest.raises(Invalid, match="fewer than 2"):
        Redactor(KEY, names=["x"])


def towns(text: str) -> Iterator[tuple[int, int, str]]:
    at = text.find("Žilina")
    while at >= 0:
        yield at, at + 6, "NAME"
        at = text.find("Žilina", at + 1)


def test_extra_detectors_are_asked_about_every_string() -> None:
    one = redactor(extra=[towns])
    value = {"a": "é from Žilina, to Žilina", "Žilina": json.dumps(["in Žilina"])}
    assert {finding.rule for finding in one.scan(value)} == {"detected"}
    assert one.suspects(line(value))
    out = one.redact(value)
    assert "ilina" not in json.dumps(out)
    assert one.scan(out) == []
    assert one.redact(out) == out
    assert one.counts["detected"] == 4


def test_a_detector_gives_known_types() -> None:
    with pytest.raises(Invalid, match="'TOWN'"):
        redactor(extra=[lambda text: [(0, 2, "TOWN")]]).redact("text")


@pytest.mark.parametrize("hyperscan", ENGINES)
def test_what_a_policy_leaves_stays_and_is_counted(hyperscan: bool) -> None:
    policy = Policy.of({"EMAIL": "warn", "assignment": "warn"})
    one = redactor(policy=policy, hyperscan=hyperscan)
    token = SECRETS["github"][0]
    text = f"ann@corp.com: {token} DB_PASSWORD=hunter2 81.2.69.160"
    done = one.redact_row({"a": text, "b": ["ann@corp.com"], "c": f"API_KEY={token}"})
    out = done.value["a"]
    assert out.startswith("ann@corp.com: <SECRET_")
    assert "DB_PASSWORD=hunter2 <IP_" in out
    assert token not in done.value["c"]
    assert done.rules["email"] == 2
    assert done.rules["assignment"] == done.rules["ipv4"] == 1
    assert done.action is Action.REDACT
    assert one.scan(done.value) == []
    assert not one.suspects(line(done.value))
    assert one.learned_state().values == {("SECRET", token)}


def test_the_strictest_action_of_a_row_is_told() -> None:
    one = redactor(policy=Policy.of({"SECRET": "review", "private-key": "block"}))
    pem = SECRETS["private-key"][0]
    assert one.redact_row("clean").action is Action.REDACT
    assert one.redact_row("ann@corp.com").action is Action.REDACT
    assert one.redact_row(SECRETS["github"][0]).action is Action.REVIEW
    done = one.redact_row(f'password = "{pem}"')
    assert done.action is Action.BLOCK
    assert "PRIVATE" not in str(done.value)


def test_a_value_found_by_a_rule_that_replaces_goes_whatever_its_type_does() -> None:
    one = redactor(policy=Policy.of({"SECRET": "warn", "github": "redact"}))
    token = SECRETS["github"][0]
    assert token not in one.redact(f"{token} and x{token}x")
    assert one.redact("DB_PASSWORD=hunter2") == "DB_PASSWORD=hunter2"


# --- odd values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        '{"note": NaN, "password": "swordfish"}',
        '{"password": "swordfish", "password": "x"}',
        '{"p": {"pass\\u0077ord": "swordfish", "pass\\u0077ord": ""}}',
        '[{"a\\\\": 1, "a\\\\": 2, "password": "swordfish"}]',
        ' \n{"password": "swordfish"}\t',
        '{"password": ["swordfish"]}',
        '{"n": 98765432109876543210987654321, "password": "swordfish"}',
    ],
)
def test_documents_that_readers_read_differently(document: str) -> None:
    one = redactor()
    out = one.redact({"arguments": document})["arguments"]
    assert "swordfish" not in out
    assert "98765432109876543210987654321" in out or "98765" not in document
    assert one.scan({"arguments": out}) == []


def test_documents_deeper_than_the_limit_are_searched_as_text() -> None:
    deep = "[" * 250 + f'"API_KEY={B[:30]}"' + "]" * 250
    assert B[:30] not in redactor().redact({"a": deep})["a"]


def test_untouched_parts_are_not_copied_and_nothing_is_changed_in_place() -> None:
    value = {"a": {"b": ["x"]}, "c": ["see ann@corp.com"]}
    before = json.dumps(value)
    out = redactor().redact(value)
    assert json.dumps(value) == before
    assert out["a"] is value["a"]
    assert out["c"] is not value["c"]


@pytest.mark.parametrize("wrap", [list, tuple])
def test_lists_and_tuples_are_alike(wrap: Callable[[list[str]], Any]) -> None:
    out = redactor().redact({"secrets": wrap(["swordfish-7"])})
    assert "swordfish" not in str(out)


def test_ten_thousand_keys_and_long_runs() -> None:
    value = {f"key_{number}": f"text {number}" for number in range(10_000)}
    value["key_9999"] = "API_KEY=" + body(30)
    one = redactor()
    assert one.redact({**value})["key_0"] == "text 0"
    assert body(30) not in str(one.redact(value))


@pytest.mark.parametrize("hyperscan", ENGINES)
def test_homes_behind_homes_go_at_once(hyperscan: bool) -> None:
    redactor = Redactor(KEY, hyperscan=hyperscan)
    out = redactor.redact("%2Fhome%2Fann%2FUsers%2Fbo" * 50)
    assert MARKER.sub("", out) == "%2Fhome%2F%2FUsers%2F" * 50
    assert redactor.scan(out) == []
