"""Names of accounts: which folders are somebody's, which names are learned from them, and where
one that was learned is replaced. A route, a folder or a tool is nobody.
"""

from __future__ import annotations

import json

import pytest

from clew.redaction import Redactor
from test_redaction import KEY, MARKER

HOME = "see /home/annlee/src/x.py there"


def redacted(*texts: object) -> list[object]:
    made = Redactor(KEY)
    out = made.redact(list(texts))
    assert made.scan(out) == []
    assert made.redact(out) == out
    assert isinstance(out, list)
    return out


@pytest.mark.parametrize(
    "text",
    [
        "paths: ['/home/node_modules', '/node_modules']",
        '<a href="/home/overseer">',
        "href='/home/settings'",
        '<Route path="/home/dashboard">',
        "POST /Users/authenticate",
        "GET /v1/Users/Search HTTP/1.1",
        "/home/index.html",
        "/Users/Profile.tsx",
        "mkdir /home/data /home/projects /home/www /home/src",
        "import H from '@/home/components/Header'",
        "import W from '@/home/zwidgets/Header'",
    ],
)
def test_routes_and_folders_are_nobody(text: str) -> None:
    assert redacted(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "mkdir /home/zapfen",
        "mkdir /home/zapfen/x /home/zapfen",
        '<Route path="/home/zapfen/list/all">',
        "router.push('/home/zapfen/list/all')",
        "see -home-zapfen-list",
    ],
)
def test_what_shows_no_home_folder_is_not_learned(text: str) -> None:
    others = ["zapfen", "by zapfen", "src/zapfen/list.ts", {"zapfen": {"name": "zapfen"}}]
    assert redacted(text, *others)[1:] == others


@pytest.mark.parametrize(
    "text",
    [
        HOME,
        "cat /Users/annlee/.ssh/config",
        "cat /home/annlee/notes.txt",
        "ls /home/annlee/Desktop",
        "C:\\Users\\annlee\\x",
        "?path=%2FUsers%2Fannlee%2Fsrc%2Fx",
        "annlee@ws-12:~/src$ ls",
    ],
)
def test_a_home_folder_teaches_its_name(text: str) -> None:
    assert MARKER.fullmatch(str(redacted(text, "annlee")[1]))


@pytest.mark.parametrize(
    "text",
    [
        "annlee",
        "a\nannlee\nb",
        "/srv/annlee/x",
        "~annlee/x",
        "D:\\annlee\\x",
        "path=%2Fsrv%2Fannlee",
        "ssh annlee@ws-12",
        "user annlee",
        "Author: annlee",
        "by annlee, today",
        "sudo -u annlee ls",
        'x {"user": "annlee", …',
        "chown -R annlee x",
        "chown annlee:annlee x",
        "uid=1000(annlee) gid=1000(annlee)",
        "drwxr-xr-x 2 annlee annlee 4096 x",
        "-rw-r--r--@  1 root   annlee   12 Nov 3 x",
        "annlee    1234  0.0 python",
        "annlee:x:1000:1000::/srv/x",
    ],
)
@pytest.mark.parametrize("form", [lambda text: text, lambda text: f"one\n{text}\ntwo"])
def test_an_account_is_replaced_where_one_is_named(text: str, form: object) -> None:
    assert callable(form)
    out = redacted(HOME, form(text), {"user": "annlee", "args": json.dumps({"owner": "annlee"})})
    assert "annlee" not in json.dumps(out)


@pytest.mark.parametrize("text", ["the annlee thing", "annlee()", "import annlee.x", "annlees"])
def test_other_text_keeps_the_name_of_an_account(text: str) -> None:
    assert redacted(HOME, text)[1] == text
