"""`clew redact`: JSON stays JSON, text stays text, and nothing leaves when in doubt."""

from __future__ import annotations

import io
import json
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clew.cli import main
from clew.errors import Invalid, RedactionFailed
from clew.redaction import Redactor
from clew.redaction.stream import BLOCK_BYTES, Form, redact_stream

KEY = b"0123456789abcdef-test-key"
TOKEN = "ghp_" + "a7Kd93mQpZvB2nLt4RwXs81YcE6uHj0FgTq5"
SECRET = "q8Zx71bbTrK9"
MARK = re.compile(r"<[A-Z]+_[0-9a-f]{8}>")


def filtered(data: bytes | str, form: Form = Form.AUTO, **more: Any) -> bytes:
    source = io.BytesIO(data.encode() if isinstance(data, str) else data)
    target = io.BytesIO()
    redact_stream(source, target, Redactor(KEY, **more), form)
    return target.getvalue()


def run(data: bytes | str, *words: str) -> Result:
    return CliRunner().invoke(main, ["redact", *words], input=data)


ODD = (
    '{"a": 1.0, "a": 2, "big": 123456789012345678901234567890, "e": 1E400, "x":"ok"}',
    ' {"b":1,"a":[ ] , "c":{},"d":"\\u00e9\\/\\ud83d"}  ',
    "[1,2,  3.50]",
    "",
    "text, and {not json}",
    '{"cut": "in the mid',
    "NaN",
    "\ttabs\x00and zero",
)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("form", [Form.AUTO, Form.TEXT, Form.JSONL])
def test_where_nothing_is_found_every_byte_stays(end: str, last: bool, form: Form) -> None:
    data = end.join(ODD) + (end if last else "")
    assert filtered(data, form).decode() == data


def test_bytes_that_are_no_text_stay() -> None:
    data = bytes(range(256)) + b"\n" + b"\xff\xfe {\n" + b'{"x": "\xff"}\n'
    assert filtered(data) == data
    assert filtered(data + TOKEN.encode())[: len(data)] == data


def test_only_the_changed_string_is_written_anew() -> None:
    line = '{ "n":1.0, "s" : "\\u0041", "k":"TOKEN", "n": 10000000000000000000001, "z":[1e5 ]}'
    line = line.replace("TOKEN", TOKEN)
    new = filtered(line + "\n").decode()
    assert MARK.sub(TOKEN, new) == line + "\n"
    assert new != line + "\n"


def test_repeated_keys_are_all_searched_and_all_kept() -> None:
    line = '{"password": "S-1", "password": "S-2", "a": {"password": 12345678}}'
    line = line.replace("S-", SECRET)
    new = filtered(line).decode()
    assert SECRET not in new
    assert "12345678" not in new
    assert new.count('"password"') == 3
    json.loads(new)


def test_keys_numbers_and_documents_in_strings_are_redacted() -> None:
    value = {TOKEN: 1, "args": json.dumps({"token": TOKEN, "n": 1}), "pin_password": 987654321}
    new = filtered(json.dumps(value)).decode()
    assert TOKEN not in new
    assert "987654321" not in new
    assert json.loads(json.loads(new)["args"])["n"] == 1


def test_a_value_found_late_stands_nowhere_early() -> None:
    lines = [f'{{"x": "plain {SECRET} here"}}', f"text {SECRET}", f'{{"API_KEY": "{SECRET}"}}']
    new = filtered("\n".join(lines)).decode()
    assert SECRET not in new
    assert len(set(MARK.findall(new))) == 1


def test_a_document_of_many_lines_is_one_document() -> None:
    text = json.dumps({"a": 1.0, "x": [TOKEN, {"password": "swordfish-9"}]}, indent=2)
    for form in (Form.AUTO, Form.JSON):
        new = filtered(text, form).decode()
        assert "swordfish-9" not in new
        assert TOKEN not in new
        assert len(new.splitlines()) == len(text.splitlines())
        assert json.loads(new)["a"] == 1.0


def test_what_has_to_be_json_and_is_not_is_refused() -> None:
    with pytest.raises(Invalid, match="no JSON document"):
        filtered("{", Form.JSON)
    with pytest.raises(Invalid, match="nested too deep"):
        filtered("[" * 100_000 + "]" * 100_000, Form.JSON)
    done = run(f"{{bad {TOKEN}\n", "--as", "jsonl", "--report")
    assert done.exit_code == 0
    assert TOKEN not in done.stdout
    assert "no JSON" in done.stderr


def test_a_key_of_many_lines_is_found_over_the_end_of_a_block() -> None:
    rng = random.Random(3)
    rows = ["".join(rng.choices("ABCDEFGHabcdefgh0123456789+/", k=64)) for _ in range(40)]
    pem = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *rows, "-----END RSA PRIVATE KEY-----"])
    for short in (100, 500, 1500):
        before = ("a line of words\n" * (BLOCK_BYTES // 16))[: BLOCK_BYTES - short]
        new = filtered(f"{before}\n{pem}\nafter\n", Form.TEXT).decode()
        assert not any(row in new for row in rows)
        assert new.startswith(before)
        assert new.endswith("\nafter\n")


def test_lines_end_alike_in_long_input() -> None:
    data = "".join(f'{{"n": {n}, "t": "{"x" * 900}"}}\nsome text {n}\n' for n in range(600))
    assert filtered(data).decode() == data


def test_placeholders_are_stable_under_a_key_and_only_then(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    one, two = (run(TOKEN, "--key-file", str(file)) for _ in range(2))
    other = run(TOKEN)
    assert one.stdout == two.stdout != other.stdout
    assert "random key" in other.stderr
    assert "random key" not in one.stderr


def test_the_report_counts_and_tells_no_value() -> None:
    done = run(f"{TOKEN}\nmail ann.lee@corp-mail.example.com now\n", "--report")
    assert re.search(r"github 1\b", done.stderr)
    assert re.search(r"email 1\b", done.stderr)
    assert TOKEN not in done.output
    assert "ann.lee" not in done.output
    facts = json.loads(run(TOKEN, "--json").stderr.splitlines()[-1])
    assert facts == {
        "finds": {"github": 1},
        "left": {},
        "not_spread": 0,
        "records": 1,
        "review": 0,
        "no_json": 0,
    }


def test_what_a_policy_leaves_is_no_replacement() -> None:
    done = run(f"{TOKEN}\nmail a@b.corp.com\n", "--report", "--policy", "EMAIL=warn")
    assert "1 replacement in 1 record" in done.stderr
    assert "email 1 left as they are" in done.stderr
    facts = json.loads(
        run("a@b.corp.com", "--json", "--policy", "EMAIL=warn").stderr.splitlines()[-1]
    )
    assert (facts["finds"], facts["left"]) == ({}, {"email": 1})


def test_values_that_are_not_remembered_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.redaction.literals.VALUES_MAX", 2)
    text = "".join(f"DB_PASSWORD=q8Zx71bbTrK{n}\n" for n in range(5)) * 2
    done = run(text)
    assert "3 values were too many to be remembered" in done.stderr
    assert json.loads(run(text, "--json").stderr.splitlines()[-1])["not_spread"] == 3


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-32"])
def test_wide_text_is_searched_and_stays_wide(codec: str) -> None:
    mark = "" if codec in ("utf-16", "utf-32") else "\ufeff"
    text = f'{mark}é€😀 {TOKEN}\r\n{{"a": 1.0, "k": "{TOKEN}"}}\r\n'
    new = filtered(text.encode(codec)).decode(codec)
    assert MARK.sub(TOKEN, new) == text
    assert new != text
    odd = "\ufeff".encode("utf-16-le") + b"\x00\xd8x\x00" + "end\n".encode("utf-16-le")
    assert filtered(odd) == odd


def test_wide_text_that_cannot_be_read_is_refused() -> None:
    for data in (TOKEN.encode("utf-16-le"), TOKEN.encode("utf-16") + b"x"):
        done = run(data)
        assert done.exit_code == 2
        assert "UTF-8" in done.stderr
        assert done.stdout_bytes == b""


def test_a_closed_output_is_told() -> None:
    done = subprocess.run(
        f"exec {shlex.quote(sys.executable)} -c 'from clew.cli import main; main()' redact >&-",
        shell=True,
        input=TOKEN,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "closed" in done.stderr


def test_policies_names_and_known_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, secrets = tmp_path / "names", tmp_path / "secrets"
    names.write_text("# people\nZofie Horakova\n\n")
    secrets.write_text("kitchen-sink-door\n")
    monkeypatch.setenv("SOME_API_TOKEN", "plainly7known4value")
    text = "Zofie Horakova at a@b.example.com: kitchen-sink-door plainly7known4value\n"
    done = run(
        text, "--names", str(names), "--known", str(secrets), "--known-from-env",
        "--policy", "EMAIL=warn",
    )  # fmt: skip
    assert re.fullmatch(
        r"<NAME_\w{8}> at a@b.example.com: <SECRET_\w{8}> <SECRET_\w{8}>\n", done.stdout
    )
    blocked = run(f"fine\n{TOKEN}\n", "--policy", "github=block")
    assert blocked.exit_code == 6
    assert blocked.stdout == ""
    assert TOKEN not in blocked.stderr
    assert "github" in blocked.stderr
    assert run("x", "--policy", "githb=block").exit_code == 2


def test_when_the_last_look_finds_something_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Redactor.redact_row

    def careless(self: Redactor, value: Any) -> Any:
        made = honest(self, value)
        return type(made)(value, made.rules, made.action)

    monkeypatch.setattr(Redactor, "redact_row", careless)
    target = io.BytesIO()
    with pytest.raises(RedactionFailed, match="last look"):
        redact_stream(io.BytesIO(TOKEN.encode()), target, Redactor(KEY), Form.AUTO)
    assert target.getvalue() == b""


def test_lists_that_cannot_be_used_are_told_by_line(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("good-enough\nabc\n")
    done = run("x", "--known", str(secrets))
    assert done.exit_code == 2
    assert "line 2" in done.stderr
    assert "abc" not in done.stderr
    secrets.write_bytes(b"\xff\xfe\x00")
    assert run("x", "--known", str(secrets)).exit_code == 2


def test_nesting_without_end_costs_no_more_than_its_line() -> None:
    deep = "[" * 3000 + f'"{TOKEN}"' + "]" * 3000
    new = filtered(f'{deep}\n{{"x": 1}}\n').decode()
    assert TOKEN not in new
    assert new.endswith('\n{"x": 1}\n')
