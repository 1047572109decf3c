"""How many planted secrets survive, in every form in which agents meet them; and how much of
clean source is changed. The figures are printed: `pytest -s tests/test_redaction_planted.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from clew.redaction import RULES, SECRET_RULES, Redactor
from planted import (
    HELD_OUT,
    KEYS,
    KINDS,
    MARKED_LATER,
    WIDESPREAD,
    Planted,
    chars,
    plant,
    split,
    survivors,
    truncated,
)

KEY = b"0123456789abcdef-test-key"
SEED = 20261121
RECALL_MIN = 0.995
CHANGED_MAX = 0.005
REDACTOR = Redactor(KEY, SECRET_RULES)
ALL = plant(SEED)


def redacted(value: object) -> str:
    out = REDACTOR.fresh().redact(value)
    return out if isinstance(out, str) else json.dumps(out, ensure_ascii=False)


def told(form: str, tried: int, missed: Iterable[str]) -> float:
    """Prints the recall and what was missed; gives the recall."""
    by_kind = Counter(missed)
    recall = 1 - by_kind.total() / tried
    names = ", ".join(f"{kind} {n}" for kind, n in by_kind.most_common())
    print(f"{form}: {100 * recall:.2f} % of {tried} {names and f'(missed: {names})'}")
    return recall


def _plain(one: Planted) -> bool:
    return not survivors(one, one.secret, redacted(one.text))


def _escaped(one: Planted) -> bool:
    arguments = json.dumps({"command": one.text, "timeout": 5})
    return not survivors(one, one.secret, redacted({"arguments": arguments}))


def _twice(one: Planted) -> bool:
    """Serialised twice and in the middle of a text, so that nothing opens it as JSON."""
    text = "out: " + json.dumps(json.dumps({"o": one.text}))[1:-1] + " end"
    return not survivors(one, one.secret, redacted(text))


def _in_key(one: Planted) -> bool:
    return not survivors(one, one.secret, redacted({one.text: {"n": 1}}))


def _truncated(one: Planted) -> bool:
    cut, secret = truncated(one)
    return not survivors(cut, secret, redacted(cut.text))


def _wrapped(between: str) -> Callable[[Planted], bool]:
    def whole(one: Planted) -> bool:
        parted, halves = split(one, between)
        written = redacted(parted.text)
        return not any(survivors(one, half, written) for half in halves if len(half) >= 12)

    return whole


FORMS: dict[str, Callable[[Planted], bool]] = {
    "plain": _plain,
    "in JSON in a string": _escaped,
    "serialised twice": _twice,
    "in a key": _in_key,
    "cut off": _truncated,
    "wrapped": _wrapped("\n"),
    "wrapped, escaped": _wrapped("\\n"),
    "put together": _wrapped('" + "'),
}
HALVED = {"cut off", "wrapped", "wrapped, escaped", "put together"}


def test_there_are_enough_kinds() -> None:
    assert len(KINDS | KEYS | HELD_OUT) >= 200
    assert all(one.text.count(one.secret) == 1 for one in ALL)
    assert [one.secret for one in ALL] == [one.secret for one in plant(SEED)]


@pytest.mark.parametrize("form", FORMS)
def test_planted_secrets_go(form: str) -> None:
    chosen = [one for one in ALL if form not in HALVED or one.kind not in MARKED_LATER]
    missed = [one.kind for one in chosen if not FORMS[form](one)]
    assert told(form, len(chosen), missed) >= RECALL_MIN


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_what_is_widespread_goes_when_it_is_encoded(before: str) -> None:
    missed, chosen = [], [one for one in ALL if one.kind in WIDESPREAD]
    for one in chosen:
        coded = base64.b64encode((before + one.text + " and more").encode()).decode()
        written = redacted(f"it held {coded}, then ended")
        middle = len(coded) // 2
        if coded[middle - 6 : middle + 6] in written:
            missed.append(one.kind)
        assert written.startswith("it held ")
        assert written.endswith(", then ended")
    assert told(f"in base64 behind {before!r}", len(chosen), missed) >= RECALL_MIN


def test_what_is_encoded_and_no_secret_stays() -> None:
    for text in ("the password is required", "a token of thanks", "secret santa", "x" * 300):
        coded = f"it held {base64.b64encode(text.encode()).decode()}, then ended"
        assert redacted(coded) == coded


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_by_the_rule_of_its_name(kind: str) -> None:
    finder = Redactor(KEY, [rule for rule in RULES if rule.name == kind])
    for one in ALL:
        if one.kind == kind:
            assert finder.scan(one.text), one


# --- what has to stay ----------------------------------------------------------------------

CHUNK = 1500
ROOT = Path(__file__).resolve().parent.parent
LIBRARY = Path(sysconfig.get_paths()["stdlib"])


def _chunks(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")[:300_000]
        yield from (text[n : n + CHUNK] for n in range(0, len(text), CHUNK))


def _files(folder: Path, *patterns: str) -> list[Path]:
    found = (path for pattern in patterns for path in folder.rglob(pattern))
    return sorted(path for path in found if path.is_file())


def _scripts() -> list[Path]:
    """Packages of the interpreter's environment: Python, JavaScript and lists of digests."""
    site = Path(sysconfig.get_paths()["purelib"])
    return [*_files(site, "*.js", "RECORD")[:150], *_files(site, "*.py")[::40]]


SOURCES: dict[str, Callable[[], list[Path]]] = {
    "standard library": lambda: _files(LIBRARY, "*.py")[:600],
    "this repository": lambda: _files(ROOT / "src", "*.py", "*.js", "*.sql", "*.html", "*.css"),
    "papers": lambda: _files(ROOT / "docs", "*.md"),
    "installed packages": _scripts,
}


@pytest.mark.parametrize("name", SOURCES)
def test_source_stays(name: str) -> None:
    chunks = list(_chunks(SOURCES[name]()))
    assert len(chunks) > 50, "found no source: the test looks in the wrong place"
    # What looks like a placeholder is escaped, and that is no find.
    finds = [REDACTOR.fresh().scan(chunk) for chunk in chunks]
    rules = Counter(one.rule for found in finds for one in found)
    changed = [found for found in finds if found]
    share = len(changed) / len(chunks)
    print(f"{name}: {100 * share:.2f} % of {len(chunks)} pieces changed {dict(rules) or ''}")
    assert share <= CHANGED_MAX


def _look_alikes(rng: random.Random) -> Iterator[str]:
    """Lines that lock files, builds, logs and minified code are full of."""
    for n in range(400):
        text = chars(rng, "abcdefghij", 9)
        sha1, sha256 = (hashlib.new(name, text.encode()).hexdigest() for name in ("sha1", "sha256"))
        b64 = hashlib.sha512(text.encode()).digest().hex()
        name = rng.choice(["user", "cache", "index", "row", "sort", "token_count", "max_tokens"])
        yield f'    "integrity": "sha512-{chars(rng, "ABCDabcd0123+/", 86)}==",'
        yield f"  --hash=sha256:{sha256} \\"
        yield f"commit {sha1}\nMerge: {sha1[:7]} {sha256[:7]}"
        yield f"index {sha1[:10]}..{sha256[:10]} 100644"
        yield f"image: registry.test/app@sha256:{sha256}"
        yield f"source = git+https://git.test/a/b?rev={sha1[:8]}#{sha1}"
        yield f'"id": "{sha1[:8]}-{sha1[8:12]}-4{sha1[12:15]}-a{sha1[15:18]}-{sha1[18:30]}",'
        yield f'"checksum": "{b64[:64]}", "version": "{n}.{n % 7}.2-rc.1",'
        yield f"{name}_key = '{name}_{n}_value_of_thing'"
        a, b, c = tuple(text[:3])
        yield f"!function({a},{b}){{var {c}=this.{name}Key;return {c}({n})}}"
        yield f"/static/js/main.{sha256[:20]}.chunk.js 200 {n} {sha1[:16]}"
        yield f'"tool_use_id": "toolu_01{chars(rng, "ABCDabcd0123456789", 22)}"'
        yield f"req_{chars(rng, 'ABCDabcd0123456789', 24)} took {n} ms, {n * 37} tokens"
        yield f"from {text}.{name}_utils import {name.title()}Token{n}, get_{name}_token_{n}"
        yield f'<path d="M{n}.5 {n}c1.2 3.4 5.6 7.8 9.1 2.3" id="{sha1[:12]}"/>'


def test_look_alikes_stay() -> None:
    lines = list(_look_alikes(random.Random(SEED)))
    changed = [line for line in lines if redacted(line) != line]
    share = len(changed) / len(lines)
    print(f"look-alikes: {100 * share:.2f} % of {len(lines)} changed, such as {changed[:3]}")
    assert share <= CHANGED_MAX
