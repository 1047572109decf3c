"""Access tokens: what is kept of one, who it lets in, and what is put on record."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

import clew
import clew.aio
from clew import access
from clew.access import FIRST_SCOPES, Scope

from .talk import behind, user

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.inside

READ = [Scope.SESSION_READ]


def _secret(token: str) -> str:
    return token.split("_", 2)[2]


def _set(ledger: clew.Ledger, column: str, value: int | None) -> None:
    behind(ledger, f"update token set {column} = ?", [value])


def test_a_token_opens_what_it_names(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", ["session:append", "session:read"], project="web")
    assert re.fullmatch(r"clew_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", made.token)
    found = access.check(ledger, made.token)
    assert (found.id, found.name, found.project) == (made.info.id, "ci", "web")
    assert found.scopes == {"session:read", "session:append"}
    assert found.may("session:read")
    assert not found.may("admin")


def test_only_the_digest_of_a_token_is_kept(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", READ)
    ledger.revoke_token(made.info.id)
    for table in ("token", "audit"):
        assert _secret(made.token) not in str(behind(ledger, f"select * from {table}"))
    ((kept,),) = behind(ledger, "select secret from token")
    assert bytes(kept) == hashlib.sha256(made.token.encode()).digest()


def test_neither_a_listing_nor_a_repr_shows_the_secret(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", READ)
    assert _secret(made.token) not in f"{made!r} {made} {ledger.tokens()!r}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "admin",
        "clew",
        "clew__",
        "clew_0123456789abcdef_",
        "clew_0123456789abcdef_short",
        "clew_0123456789ABCDEF_" + "a" * 43,
        "clew_0123456789abcdef_" + "a" * 44,
        "clew_0123456789abcdef_" + "a" * 43 + "\n",
        " clew_0123456789abcdef_" + "a" * 43,
        "clew_\u0661123456789abcdef_" + "a" * 43,
        "clew_0123456789abcdef_" + "a" * 42 + "\0",
        "clew_%_" + "a" * 43,
    ],
)
def test_a_weak_or_malformed_token_is_refused(ledger: clew.Ledger, text: str) -> None:
    """CVE-2025-11200 (MLflow): an empty or one-character password was accepted."""
    ledger.create_token("ci", READ)
    with pytest.raises(clew.Unauthorized, match="clew_<id>_<secret>"):
        access.check(ledger, text)


def test_a_wrong_secret_and_an_unknown_id_are_refused_alike(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", READ)
    wrong_secret = made.token[:-43] + "a" * 43
    unknown_id = "clew_" + "0" * 16 + "_" + _secret(made.token)
    told = []
    for text in (wrong_secret, unknown_id):
        with pytest.raises(clew.Unauthorized) as caught:
            access.check(ledger, text)
        told.append((str(caught.value), caught.value.genuine))
    assert told[0] == told[1]
    assert told[0][1] is False


def test_every_check_compares_once_in_constant_time(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown id costs what a wrong secret costs: one look-up, one whole comparison."""
    made = ledger.create_token("ci", READ)
    compared: list[tuple[int, int]] = []
    original = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    access.check(ledger, made.token)
    for text in (made.token[:-43] + "a" * 43, "clew_" + "0" * 16 + "_" + "a" * 43):
        with pytest.raises(clew.Unauthorized):
            access.check(ledger, text)
    assert compared == [(32, 32)] * 3


def test_the_secret_of_one_token_does_not_open_another(ledger: clew.Ledger) -> None:
    one, other = ledger.create_token("one", READ), ledger.create_token("other", READ)
    with pytest.raises(clew.Unauthorized):
        access.check(ledger, f"clew_{one.info.id}_{_secret(other.token)}")
    # Nor when the digests change places in the table: a digest is bound to its id.
    ((kept,),) = behind(ledger, "select secret from token where id = ?", [other.info.id])
    behind(ledger, "update token set secret = ? where id = ?", [bytes(kept), one.info.id])
    with pytest.raises(clew.Unauthorized):
        access.check(ledger, f"clew_{one.info.id}_{_secret(other.token)}")


def test_an_expired_token_is_refused(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", READ, expires="1h")
    assert made.info.expires_ms == made.info.created_ms + 3_600_000
    assert access.check(ledger, made.token).expires_ms == made.info.expires_ms
    _set(ledger, "expires_ms", made.info.created_ms)
    with pytest.raises(clew.Unauthorized, match="expired") as caught:
        access.check(ledger, made.token)
    assert caught.value.genuine
    assert access.ended(ledger, [made.info.id]) == {made.info.id: "expired"}


@pytest.mark.parametrize(
    "expires", ["0d", "-1d", "soon", "2001-01-01", "", 5, "999999999999w", "99999999999999999999"]
)
def test_a_time_that_no_token_can_end_at_is_refused(ledger: clew.Ledger, expires: Any) -> None:
    with pytest.raises(clew.Invalid):
        ledger.create_token("ci", READ, expires=expires)
    assert ledger.tokens() == []


def test_a_revoked_token_is_refused_and_stays_listed(ledger: clew.Ledger) -> None:
    made, other = ledger.create_token("ci", READ), ledger.create_token("other", READ)
    gone = ledger.revoke_token(made.info.id)
    assert gone.revoked_ms is not None
    assert gone.state(gone.revoked_ms) == "revoked"
    with pytest.raises(clew.Unauthorized, match="revoked"):
        access.check(ledger, made.token)
    assert access.ended(ledger, [made.info.id, other.info.id]) == {made.info.id: "revoked"}
    assert {info.id: info.revoked_ms for info in ledger.tokens()} == {
        made.info.id: gone.revoked_ms,
        other.info.id: None,
    }
    access.check(ledger, other.token)


def test_a_token_is_revoked_once_and_by_its_text_too(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", READ)
    first = ledger.revoke_token(made.token)
    assert ledger.revoke_token(made.info.id) == first
    assert len(ledger.audit(action="token revoke")) == 1


@pytest.mark.parametrize("id", ["0" * 16, "", "x\0", "clew_" + "0" * 16 + "_" + "a" * 43])
def test_an_unknown_token_cannot_be_revoked(ledger: clew.Ledger, id: str) -> None:
    with pytest.raises((clew.NotFound, clew.Invalid)):
        ledger.revoke_token(id)


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("", READ),
        ("x" * 101, READ),
        ("half \ud83d", READ),
        ("ci", []),
        ("ci", ["everything"]),
        ("ci", ["session:read", "SESSION:READ"]),
        ("ci", "session"),
    ],
)
def test_a_token_that_says_nothing_or_too_much_is_not_made(
    ledger: clew.Ledger, name: str, scopes: Any
) -> None:
    with pytest.raises(clew.Invalid):
        ledger.create_token(name, scopes)
    assert ledger.tokens() == []


def test_no_scope_implies_another(ledger: clew.Ledger) -> None:
    for scope in Scope:
        token = ledger.create_token("one", [scope])
        found = access.check(ledger, token.token)
        assert access.require(found, scope) is found
        for other in set(Scope) - {scope}:
            with pytest.raises(clew.Forbidden, match=other):
                access.require(found, other)


def test_nobody_gives_what_they_have_not_got(ledger: clew.Ledger) -> None:
    made = ledger.create_token("lead", ["admin", "session:read"], project="web", expires="7d")
    giver = access.check(ledger, made.token)

    def give(scopes: list[str], project: str | None, expires: str | None) -> access.NewToken:
        return access.create(
            ledger, "x", scopes, project=project, expires=expires, granted_by=giver
        )

    assert give(["session:read"], "web", "6d").info.project == "web"
    for scopes, project, expires in (
        (["session:read", "tool:run"], "web", "6d"),
        (["session:read"], "mail", "6d"),
        (["session:read"], None, "6d"),
        (["session:read"], "web", "8d"),
        (["session:read"], "web", None),
    ):
        with pytest.raises(clew.Forbidden):
            give(scopes, project, expires)
    assert len(ledger.tokens()) == 2


def test_without_a_token_nothing_is_allowed() -> None:
    with pytest.raises(clew.Unauthorized, match="Bearer"):
        access.require(None, Scope.SESSION_READ)


def test_use_is_noted_at_most_once_a_minute(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", READ)
    assert ledger.tokens()[0].used_ms is None

    def used() -> int:
        access.check(ledger, made.token)
        ledger.create()  # commits behind whatever was queued before it
        noted = ledger.tokens()[0].used_ms
        assert noted is not None
        return noted

    first = used()
    assert used() == first
    _set(ledger, "used_ms", first - 59_000)
    assert used() == first - 59_000
    _set(ledger, "used_ms", first - 61_000)
    assert used() >= first


# --- projects ------------------------------------------------------------------------------


def test_a_confined_handle_sees_and_makes_tokens_of_its_project(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("another handle on a database in memory is another database")
    with clew.open(url) as whole, clew.open(url, project="web") as web:
        everywhere = whole.create_token("root", READ)
        other = whole.create_token("other", READ, project="mail")
        mine = web.create_token("mine", READ)
        assert mine.info.project == "web"
        assert [info.id for info in web.tokens()] == [mine.info.id]
        assert len(whole.tokens()) == 3
        for foreign in (everywhere, other):
            with pytest.raises(clew.NotFound):
                web.revoke_token(foreign.info.id)
        with pytest.raises(clew.Invalid, match="confined"):
            web.create_token("grab", READ, project="mail")
        # A server confined to a project takes no other project's token, and narrows the rest.
        with pytest.raises(clew.Unauthorized):
            access.check(web, other.token)
        assert access.check(web, everywhere.token).project == "web"
        assert access.check(web, mine.token).project == "web"


def test_a_confined_handle_searches_its_project_only(ledger: clew.Ledger) -> None:
    """One index serves every handle on an open ledger."""
    for project in ("web", "mail"):
        ledger.create(project=project).append(user(f"quicksilver of {project}"))
    web = ledger.confined("web")
    for text in ("quicksilver", "quicksilver OR nothing"):
        assert {hit.project for hit in web.search(text).hits} == {"web"}
    with pytest.raises(clew.Invalid):
        web.search("quicksilver", project="mail")
    with pytest.raises(clew.NotFound):
        web.search("quicksilver", session=ledger.sessions(project="mail")[0].id)
    assert len(ledger.search("quicksilver").hits) == 2


# --- the first token -----------------------------------------------------------------------


def test_the_first_token_is_made_once(ledger: clew.Ledger) -> None:
    made = access.first(ledger)
    assert made is not None
    found = access.check(ledger, made.token)
    assert found.scopes == set(FIRST_SCOPES)
    assert found.project is None
    assert access.first(ledger) is None
    ledger.revoke_token(made.info.id)
    assert access.first(ledger) is None, "whoever revoked all tokens wants nobody in"


def test_the_first_token_runs_no_tool_and_exports_nothing_raw() -> None:
    assert set(Scope) - set(FIRST_SCOPES) == {"tool:run", "export:raw"}


def test_servers_that_start_at_once_make_one_first_token(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("another handle on a database in memory is another database")
    clew.open(url).close()
    made: list[access.NewToken | None] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        with clew.open(url) as ledger:
            barrier.wait()
            made.append(access.first(ledger))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([token for token in made if token]) == 1
    assert len(made) == 4


def test_a_ledger_that_takes_no_writes_gets_no_first_token(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("another handle on a database in memory is another database")
    clew.open(url).close()
    with clew.open(url, read_only=True) as ledger:
        assert access.first(ledger) is None
        assert ledger.tokens() == []


def test_a_ledger_that_takes_no_writes_checks_tokens(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("another handle on a database in memory is another database")
    with clew.open(url) as ledger:
        made = ledger.create_token("ci", READ)
    with clew.open(url, read_only=True) as ledger:
        assert access.check(ledger, made.token).id == made.info.id


# --- on record -----------------------------------------------------------------------------

ACTS: dict[str, Callable[[clew.Ledger], Any]] = {
    "token": lambda ledger: ledger.create_token("ci", READ, project="web", expires="1d"),
    "token revoke": lambda ledger: ledger.revoke_token(ledger.tokens()[0].id),
    "token refused": lambda ledger: access.note_refused(ledger, "192.0.2.1", 5),
}


def test_each_token_event_leaves_one_record(ledger: clew.Ledger) -> None:
    for action, act in ACTS.items():
        before = len(ledger.audit())
        act(ledger)
        records = ledger.audit()
        assert len(records) == before + 1
        (record,) = [one for one in records if one.action == action]
        assert record.session is None
        assert record.project == ("default" if action == "token refused" else "web")
        assert record.actor == ledger.actor


def test_a_record_names_the_token_and_what_it_may(ledger: clew.Ledger) -> None:
    made = ledger.create_token("ci", ["session:read", "admin"])
    (record,) = ledger.audit(action="token")
    assert record.facts == {
        "id": made.info.id,
        "name": "ci",
        "scopes": ["session:read", "admin"],
        "confined_to": None,
        "expires_ms": None,
    }


def test_the_verbs_can_be_awaited(url: str) -> None:
    async def tell() -> None:
        async with await clew.aio.open(url) as ledger:
            made = await ledger.create_token("ci", READ)
            assert [info.id for info in await ledger.tokens()] == [made.info.id]
            assert (await ledger.revoke_token(made.info.id)).revoked_ms is not None

    asyncio.run(tell())
