"""Redaction in the forms in which terminals, shells, consoles and configurations show secrets.

None of the tokens was ever issued; they are put together here so that no scanner takes this file
for a leak.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.redaction import Redactor
from test_redaction import B, H, P

KEY = b"0123456789abcdef-test-key"
GITHUB = "ghp_" + B[:36]
MODEL = "sk-ant-" + "api03-" + B[:60]
PLAIN = "\x1b[0m"


def _painted(*pieces: str) -> str:
    """Each piece in a colour of its own, of 24 bits."""
    return "".join(f"\x1b[38;2;{n};100;200m{piece}{PLAIN}" for n, piece in enumerate(pieces))


def gone(text: object, secret: str) -> None:
    """Nothing of the secret is left, and redacting again changes nothing."""
    redactor = Redactor(KEY)
    out = redactor.redact(text)
    written = json.dumps(out, ensure_ascii=False)
    pieces = [secret[n : n + 12] for n in range(max(1, len(secret) - 11))]
    assert not any(piece in written for piece in pieces), (text, out)
    assert redactor.scan(out) == []
    assert redactor.redact(out) == out


COLOURED = (
    (f"KEY\x1b[0m=\x1b[1;33m{GITHUB}", GITHUB),
    (f"\x1b[01;31m\x1b[K{GITHUB}\x1b[m\x1b[K", GITHUB),
    (f"\x1b[38;2;255;100;0m{MODEL}{PLAIN}", MODEL),
    (f"\x1b(B\x1b[m\x1b(B{GITHUB}", GITHUB),
    (f"^[[31m{GITHUB}^[[0m", GITHUB),
    (f"PASSWORD^[[0m=^[[31m{P}^[[0m", P),
    (f'\x1b[34;1m"api_key"{PLAIN}\x1b[1;39m:{PLAIN} \x1b[0;32m"{P}"{PLAIN}', P),
    (f'\x1b[94m"password"\x1b[39;49;00m:\x1b[37m \x1b[39;49;00m\x1b[33m"{P}"', P),
    (_painted('"', "password", '"', ":", " ", '"', P, '"'), P),
    (_painted("DB_PASSWORD", "=", P), P),
    (f"DB_\x1b[01;31m\x1b[KPASSWORD\x1b[m\x1b[K={P}", P),
    (f"PASSWORD\\u001b[0m=\\u001b[31m{P}\\u001b[0m", P),
    (f"MY_KEY{PLAIN}=\x1b[31m{H[:32]}{PLAIN}", H[:32]),
    (f"PASSWORD{PLAIN}=\x1b[31m{P * 90} x", P),
)


@pytest.mark.parametrize(("text", "secret"), COLOURED)
def test_colours_hide_nothing(text: str, secret: str) -> None:
    gone(text, secret)
    gone(json.dumps({"o": text}), secret)
    gone(f"first\n{text}\nlast", secret)


def test_colours_alone_are_left_as_they_are() -> None:
    text = f"\x1b[36mpassword{PLAIN} \x1b[1;31mrequired{PLAIN}: \x1b[Ktoken_count{PLAIN}=12"
    assert Redactor(KEY).redact(text) == text


FOLLOWED = (
    f"http://a.test/?access_token={GITHUB}&page=2&per_page=100&sort=created_at",
    f"{GITHUB}&sig=AbC123dEf456&exp=1700000000",
    f"{GITHUB}|2024-01-02T03:04:05Z|u123456",
    f"<token>{GITHUB}</token><name>x12345678</name>",
    f"'{GITHUB}'.replace('_','-').lower()",
)


@pytest.mark.parametrize("text", FOLLOWED)
def test_a_placeholder_is_no_tag(text: str) -> None:
    redactor = Redactor(KEY)
    out = str(redactor.redact(text))
    behind = text.partition(GITHUB)[2]
    assert out.endswith(behind)
    assert redactor.redact(out) == out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(
    [GITHUB, P, "password=", "&page=2&code=4f0aB9cD2e", "|2024-01-02", '"', "\n", "</", ">", "<b>",
     "token", ": ", "?key=", PLAIN, "\0", "api_key", "://u:", "@h.test", " is ", "define('", "',"]
), max_size=9).map("".join))  # fmt: skip
def test_redacting_again_changes_nothing(text: str) -> None:
    redactor = Redactor(KEY)
    out = redactor.redact(text)
    assert redactor.scan(out) == []
    assert redactor.redact(out) == out


def test_a_value_ends_at_nul() -> None:
    text = f"HOME=/root\0TOKEN={GITHUB}\0DB_PASSWORD={P}\0PATH=/usr/bin:/opt/x9y8\0"
    out = str(Redactor(KEY).redact(text))
    assert GITHUB not in out
    assert P not in out
    assert out.startswith("HOME=/root\0TOKEN=<SECRET_")
    assert out.endswith(">\0PATH=/usr/bin:/opt/x9y8\0")


@pytest.mark.parametrize(
    "key",
    "AZURE_OPENAI_KEY OPENAI_KEY SERPAPI_KEY BRAVE_KEY MY_KEY FERNET_KEY DD_APP_KEY pw".split(),  # noqa: SIM905
)
def test_a_name_that_ends_in_key_tells(key: str) -> None:
    gone({"env": {key: B[:32], "PORT": "8080"}}, B[:32])
    gone(json.dumps({"env": {key: B[:32]}}), B[:32])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MY_KEY", "dashboard-overview-2024"),
        ("cache_key", H[:32]),
        ("order_key", "1b2c3d4e-aaaa-4bbb-8ccc-0123456789ab"),
        ("key", H[:32]),
        ("sort_key", B[:32]),
        ("pw", "playwright"),
    ],
)
def test_other_keys_tell_nothing(key: str, value: str) -> None:
    assert Redactor(KEY).redact({key: value}) == {key: value}


LANGUAGES = (
    "contraseña CONTRASEÑA пароль Пароль ПАРОЛЬ hasło 密码 密碼 パスワード 비밀번호 şifre Şifre "
    "wachtwoord lösenord heslo senha Kennwort parola"
)


@pytest.mark.parametrize("word", LANGUAGES.split())
def test_passwords_of_other_languages_go(word: str) -> None:
    gone(f"x\n{word}: {P}\ny", P)
    gone(f"{word}={P}", P)
    gone({word: P}, P)


MARKED = (
    ("cartesia", "sk_car_" + B[:22]),
    ("portkey", "pk-live-" + B[:26]),
    ("composio", "ak_" + B[:20]),
    ("yandex-oauth", "y0_" + B[:55]),
    ("dropbox-user", "sl.u." + B),
    ("paypal", "access_token$" + "production$" + H[:16] + "$" + H[:32]),
    ("discord-token", "M" + B[:25] + "." + B[:6] + "." + B[:38]),
    ("azure-openai", B[:76] + "JQQJ99BHACAAAAAAAAAAAAAASAZDO" + B[:4]),
    ("azure-openai", B[:52] + "JQQJ99BHACYeBjFXJ3w3AAABACOG" + B[:4]),
)


@pytest.mark.parametrize(("rule", "token"), MARKED)
def test_marks(rule: str, token: str) -> None:
    assert rule in {finding.rule for finding in Redactor(KEY).scan(f"use {token} now")}
    gone(f"use {token} now", token)


def test_a_token_that_ends_with_a_sign_may_be_a_user() -> None:
    token = "ATATT3" + "xFfGF0" + B + B[:70] + "=" + H[:8].upper()
    gone(f"git clone https://{token}@bitbucket.org/a/b.git", token)


@pytest.mark.parametrize("text", [
    "max +2147483647 x", "sizes +100 200 300 400", "x = +12025550143",
    "ak_some_function_name_here1",
    "extension 2.5.29.14 is", "roll V8 to 3.6.6.8", "release v 1.4.6.1", "pk-live-reload-of-pages",
])  # fmt: skip
def test_numbers_and_versions_stay(text: str) -> None:
    assert Redactor(KEY).redact(text) == text


@pytest.mark.parametrize(
    "text", ["phone = +12025550143", "call +1 202 555 0143", "(+12025550143!)", "+1 (202) 555-0143"]
)
def test_telephone_numbers_still_go(text: str) -> None:
    assert "0143" not in str(Redactor(KEY).redact(f"see {text}"))
