"""Redaction takes time in proportion to the text, whatever the text is.

Only ratios of one process are looked at: four times the text may take six times as long. What
takes less than some hundredths of a second is not told from noise.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from clew.exporters.base import line
from clew.redaction import Redactor
from test_redaction import KEY, SECRETS, body
from test_redaction_engine import ENGINES

BYTES = 10_000
RUNS = 2
FLOOR_S = 0.03


def times(piece: str) -> Callable[[int], str]:
    return lambda n: piece * (n // len(piece))


def nested(n: int) -> str:
    text = "x" * 10
    while len(text) < n:
        text = json.dumps({"a": text, "b": "y" * (len(text) // 4)})
    return text


def documents(n: int) -> list[str]:
    return [json.dumps({"a": json.dumps({"b": "API_KEY=q8Zx71bbTr9"})})] * (n // 60)


CASES: dict[str, Callable[[int], Any]] = {
    "hex run": times("0123456789abcdef"),
    "digits": times("1234567890"),
    "dotted ones": times("1.1.1."),
    "dotted bytes": times("81.2.69.160."),
    "password and spaces": lambda n: "password" + " " * n,
    "password run": times("password="),
    "passwords and spaces": times("password      "),
    "open quotes": times('password="'),
    "escaped quotes": times('password=\\"'),
    "backslashes": lambda n: "\\" * n,
    "quotes": lambda n: '"' * n,
    "control characters": lambda n: "\x1b" * n,
    "colours": times("\x1b[31mtoken\x1b[0m="),
    "PEM headers": times("-----BEGIN RSA PRIVATE KEY-----"),
    "PEM headers, lines": times("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n"),
    "PEM headers and bodies": times("-----BEGIN PRIVATE KEY-----\n" + body(64) + "\n"),
    "PEM without end": lambda n: "-----BEGIN PRIVATE KEY-----\n" + (body(64) + "\n") * (n // 65),
    "local part": lambda n: "a" * n + "@",
    "at signs": times("a@a."),
    "at signs only": lambda n: "@" * n,
    "JWT heads": times("-eyJabcdefghijk"),
    "JWT run": times("eyJ"),
    "JWT dots": times("eyJhbGciOiJ.eyJ"),
    "bearer run": times("Bearer abcdefghij1"),
    "URL users": times("://a:"),
    "URL users and signs": times("://a:b@"),
    "colons": times("2001:1:"),
    "homes": times("/home/a"),
    "slashes": lambda n: "/" * n,
    "cookies": times("cookie: ab=12345678;"),
    "one cookie": lambda n: "cookie: ab=12345678" + "; a=b" * (n // 5),
    "markers": times("<EMAIL_3fa9c1d2>"),
    "marker beginnings": times("<EMAIL_3fa9"),
    "brackets": lambda n: "[" * n + "]",
    "braces": times('{"a":'),
    "logins": times("login a password "),
    "docker": times("docker login a "),
    "mysql": times("mysql a "),
    "echoes": times("echo aaaa | a"),
    "elements": times("<password>a"),
    "names": times("name: ab" + " " * 30 + "value:"),
    "lists": times("secrets: ['abcd', 'efgh', "),
    "flags": times("--password-token-secret"),
    "hyphens": lambda n: "-" * n,
    "accents": lambda n: "é" * n + "@",
    "hanzi": lambda n: "密码：" * (n // 9),
    "distinct secrets": lambda n: "".join(f"password=s3cr3t{i:06d} " for i in range(n // 23)),
    "distinct homes": lambda n: "".join(f"/home/user{i:06d} " for i in range(n // 17)),
    "distinct addresses": lambda n: "".join(f"a{i:06d}@corp.com " for i in range(n // 17)),
    "encoded homes": times("%2Fhome%2Fa"),
    "encoded words": times(base64.b64encode(b"password ").decode()),
    "base64": lambda n: base64.b64encode(bytes(i * i % 251 for i in range(n * 3 // 4))).decode(),
    "known, overlapping": times("aaaab"),
    "known, repeated": lambda n: "a" * n,
    "long key": lambda n: {"password_" * (n // 9): "swordfish"},
    "many keys": lambda n: {f"token_{i}": f"value {i}" for i in range(n // 25)},
    "many telling keys": lambda n: [{"password": f"swordfish{i}"} for i in range(n // 30)],
    "pairs": lambda n: [{"name": "DB_PASSWORD", "value": f"x{i:07d}"} for i in range(n // 50)],
    "deep": lambda n: [json.loads("[" * 150 + '"' + "a " * 100 + '"' + "]" * 150)] * (n // 500),
    "document in document": nested,
    "documents": documents,
    "JSON that ends early": lambda n: ["[" + "1," * 50] * (n // 100),
    "small strings": lambda n: ["a"] * (n // 4),
    "secrets of all kinds": times(" ".join(group[0] for group in SECRETS.values()) + " "),
}  # fmt: skip


def seconds(hyperscan: bool, value: Any) -> float:
    """The whole way of a value, the best of some runs."""
    best = float("inf")
    for _ in range(RUNS):
        redactor = Redactor(KEY, known=["aaaab", "abaaaab", "aaaaaaaa"], hyperscan=hyperscan)
        begin = time.process_time()
        out = redactor.redact({"value": value})
        redactor.scan(out)
        redactor.suspects(line(out))
        best = min(best, time.process_time() - begin)
    return best


@pytest.mark.parametrize("hyperscan", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_four_times_the_text_takes_at_most_six_times_as_long(name: str, hyperscan: bool) -> None:
    make = CASES[name]
    short = seconds(hyperscan, make(BYTES))
    assert seconds(hyperscan, make(4 * BYTES)) <= 6 * max(short, FLOOR_S)
