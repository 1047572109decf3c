"""What every test may ask for: a ledger on each database, and how hard Hypothesis looks.

`url` and `ledger` run a test four times: SQLite in memory, SQLite on disk, PostgreSQL, and over
a server. A test that looks behind the public face is marked `inside`, and not run over a server.
Each PostgreSQL test has a database of its own, so that tests never see one another's rows. A
ledger is verified when its test is over: a test that leaves a broken ledger fails, whatever it
asserted.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from psycopg import sql

import clew
import remote_server
import throwaway_postgres

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from _pytest.terminal import TerminalReporter

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_DIRECTORY = pytest.StashKey[Path]()

# A shared machine may be slow at any moment: a deadline per example would only make noise.
hypothesis.settings.register_profile("default", deadline=None, max_examples=60)
hypothesis.settings.register_profile(
    "ci", deadline=None, max_examples=100, derandomize=True, print_blob=True
)
hypothesis.settings.register_profile("torture", deadline=None, max_examples=5000)


def pytest_configure(config: pytest.Config) -> None:
    profile = "ci" if _in_ci() else "default"
    hypothesis.settings.load_profile("torture" if os.environ.get("CLEW_TORTURE") else profile)
    workerinput: dict[str, str] | None = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[POSTGRES_DIRECTORY] = Path(workerinput["clew_postgres_directory"])
    elif not os.environ.get("CLEW_TEST_POSTGRES_URL"):
        guard = throwaway_postgres.Guard()
        config.stash[POSTGRES_DIRECTORY] = guard.directory
        config.add_cleanup(guard.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each xdist worker where the server of this run is, or will be."""
    directory = node.config.stash.get(POSTGRES_DIRECTORY, "")
    node.workerinput["clew_postgres_directory"] = str(directory)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """A server that may be written to: CLEW_TEST_POSTGRES_URL, or one started for this run."""
    given = os.environ.get("CLEW_TEST_POSTGRES_URL")
    if given:
        return given
    try:
        return throwaway_postgres.start_or_join(request.config.stash[POSTGRES_DIRECTORY])
    except throwaway_postgres.CannotStartError as error:
        if _in_ci():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def _postgres_admin(postgres_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_database(
    postgres_url: str,
    _postgres_admin: psycopg.Connection[tuple[Any, ...]],
    request: pytest.FixtureRequest,
) -> Iterator[str]:
    """The URL of a new, empty database; dropped afterwards, open connections and all."""
    name = f"clew_test_{uuid4().hex}"
    _postgres_admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    )
    _ran_on(request, "PostgreSQL")
    parts = urlsplit(postgres_url)
    query = f"?{parts.query}" if parts.query else ""
    yield f"{parts.scheme}://{parts.netloc}/{name}{query}"
    _postgres_admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def server_host() -> Iterator[remote_server.Host]:
    """A server that serves one ledger after another."""
    host = remote_server.Host()
    yield host
    host.close()


@pytest.fixture
def server_url(
    server_host: remote_server.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of a server with an empty ledger; `CLEW_TOKEN` opens everything there."""
    with server_host.serving(f"sqlite:///{tmp_path / 'served.db'}") as token:
        monkeypatch.setenv("CLEW_TOKEN", token)
        yield server_host.url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, over a server, what only the process with the database can see."""
    items[:] = [
        item
        for item in items
        if item.get_closest_marker("inside") is None
        or getattr(item, "callspec", None) is None
        or item.callspec.params.get("url") != "remote"  # type: ignore[attr-defined]
    ]


@pytest.fixture(params=["memory", "sqlite", "postgres", "remote"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet, on each kind of database in turn, and of an
    empty one over a server.
    """
    if request.param == "remote":
        _ran_on(request, "a server")
        return str(request.getfixturevalue("server_url"))
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_database"))
    if request.param == "sqlite":
        _ran_on(request, "SQLite on disk")
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    _ran_on(request, "SQLite in memory")
    return "sqlite:///:memory:"


@pytest.fixture
def ledger(url: str, request: pytest.FixtureRequest) -> Iterator[clew.Ledger]:
    """An open ledger; verified when the test is over, unless the test is marked `damaged`."""
    opened = clew.open(url)
    try:
        yield opened
        if request.node.get_closest_marker("damaged") is None:
            report = opened.verify()
            assert report.ok, f"the test left a ledger that does not verify: {report.problems}"
    finally:
        opened.close()


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Real session files of many agents, kept outside the repository."""
    directory = ROOT.parent / "shared" / "fixtures"
    if not directory.is_dir():
        pytest.skip("the folder of real session files (../shared/fixtures) is not on this machine")
    return directory


def _ran_on(request: pytest.FixtureRequest, database: str) -> None:
    request.node.user_properties.append(("database", database))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None]:
    """End the run in plain words: what passed where, what to try next (when `make` asks)."""
    yield
    reporter: TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and os.environ.get("CLEW_SAY_NEXT"):
        for line in _in_plain_words(reporter.stats, exitstatus):
            reporter.write_line(line)


def _in_plain_words(stats: Mapping[str, Sequence[Any]], exitstatus: int) -> Iterator[str]:
    passed = [report for report in stats.get("passed", ()) if report.when == "call"]
    databases = Counter(
        value for report in passed for key, value in report.user_properties if key == "database"
    )
    where = ", ".join(f"{count} on {name}" for name, count in sorted(databases.items()))
    yield ""
    yield f"{len(passed)} tests passed ({where or 'none needed a database'})."
    skipped = len(stats.get("skipped", ()))
    if skipped:
        yield f"{skipped} were skipped; the reasons: make test ARGS=-rs"
    failed = len(stats.get("failed", ())) + len(stats.get("error", ()))
    if failed:
        yield f"{failed} FAILED: what went wrong is above. Only those again: make test ARGS=--lf"
    elif exitstatus:
        yield f"The run did not finish (exit status {int(exitstatus)}): the reason is above."
    else:
        yield "Nothing failed. Next: `make demo` shows Clew at work, `make lint` checks the style."
