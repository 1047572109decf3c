"""The server does what its OpenAPI document says: schemathesis asks it everything there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

import clew
from clew.server.openapi import document
from clew.server.routes import ROUTES, SOCKETS
from server import There, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

schema = schemathesis.openapi.from_dict(document()).exclude(path="/api/v1/live/events")
"""All that is asked and answered: a stream of events does not end."""


@schemathesis.serializer("application/x-protobuf")
def protobuf(ctx: Any, value: Any) -> bytes:
    """What no protobuf is, mostly: the receiver must say so, and not fall."""
    del ctx
    return value if isinstance(value, bytes) else json.dumps(value, default=str).encode()


EXAMPLES = 6
"""A route, beside those that schemathesis derives from the document one by one."""
SESSIONS = 20


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """A server over a ledger with something in it. Wrong tokens are not held back here: the
    checks send one a request.
    """
    folder = tmp_path_factory.mktemp("openapi")
    url = f"sqlite:///{folder / 'ledger.db'}"
    options: dict[str, Any] = {"backups": folder, "failures_max": 1 << 30}
    with (
        clew.open(url, durability="normal") as ledger,
        serving(ledger, **options) as there,
    ):
        yield there
        report = ledger.verify()
        assert report.ok, report.problems


@pytest.fixture(scope="module")
def sessions(there: There) -> Iterator[Iterator[str]]:
    """Ids of sessions that hold something, in turn: what one example does, another meets."""
    with there.client() as client:

        def ids() -> Iterator[str]:
            made: list[str] = []
            number = 0
            while True:
                if number < SESSIONS:
                    id = client.post("/api/v1/sessions", json={"title": "t"}).json()["id"]
                    said = {"messages": [{"role": "user", "content": "hello"}]}
                    client.post(f"/api/v1/sessions/{id}/entries", json=said)
                    made.append(id)
                yield made[number % SESSIONS]
                number += 1

        yield ids()


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_the_server_keeps_to_its_document(case: Any, there: There, sessions: Iterator[str]) -> None:
    if "session" in case.path_parameters:
        case.path_parameters["session"] = next(sessions)
    # What fits the schema need not fit the ledger: an unknown cursor, an empty branch.
    excluded = [positive_data_acceptance]
    if only_token_is_wrong(case):
        excluded.append(negative_data_rejection)
    case.call_and_validate(
        base_url=there.url,
        headers={"Authorization": f"Bearer {there.token}"},
        excluded_checks=excluded,
    )


def only_token_is_wrong(case: Any) -> bool:
    """Whether the token is all that was made wrong: the call puts the right one in its place, and
    the checks send wrong ones of their own.
    """
    told = case.meta.phase.data if case.meta else None
    made = {getattr(told, "parameter", None)}
    made |= {each.parameter for each in getattr(told, "mutations", None) or ()}
    return made - {None} == {"Authorization"}


def test_the_document_has_every_route_with_its_scope() -> None:
    told = {
        (method.upper(), path): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    assert told.keys() == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        operation = told[route.method, route.path]
        assert operation["x-clew-scope"] == route.scope
        assert bool(operation["security"]) is (route.scope != "open")
    names = [operation["operationId"] for operation in told.values()]
    assert len(names) == len(set(names))
    assert all(socket.scope for socket in SOCKETS)
