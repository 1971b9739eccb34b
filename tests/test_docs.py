"""The published protocol: what is committed is what the generator makes, and it is true of real messages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.test import Client
from jsonschema import Draft202012Validator
from msgspec import UNSET

from docs import generate, wire
from docs.typescript import OWN_EVENTS
from realtime_session import presenter, protocol
from realtime_session.consumers import MessageLimit
from realtime_session.local_session import unavailable
from realtime_session.policy import EndReason, Policy, Record, evaluate
from realtime_session.protocol import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    Activity,
    CloseCode,
    Error,
    Extend,
    Logout,
    Refresh,
    Sync,
)
from tests.sockets import tab

CLIENT_JS = generate.DECLARATION.with_name("client.js").read_text(encoding="utf-8")
ASYNCAPI = json.loads(generate.ASYNCAPI.read_text(encoding="utf-8"))
PROSE = generate.PROTOCOL.read_text(encoding="utf-8")
FILES = (
    generate.README,
    generate.PROTOCOL,
    generate.OPERATIONS,
    generate.ASYNCAPI,
    generate.DECLARATION,
)

NOW = 1_000.0
POLICY = Policy(idle_timeout=60, warn_before=30, absolute_timeout=3600)
RECORD = Record(sid="sid", user_id="1", started_at=NOW, last_activity_at=NOW, policy=POLICY)
STATUS = evaluate(RECORD, NOW + 40)


def validator(message: type[msgspec.Struct]) -> Draft202012Validator:
    """Return what holds a message against its schema, wherever that refers to."""
    reference = {"$ref": f"#/components/schemas/{message.__name__}"}
    return Draft202012Validator({**reference, "components": ASYNCAPI["components"]})


def make_examples() -> Iterator[msgspec.Struct]:
    yield presenter.state(RECORD, NOW)
    yield presenter.state(RECORD, NOW + 40, "sync-1")
    yield presenter.warning(STATUS, NOW)
    yield presenter.extended(STATUS, NOW)
    yield presenter.extended(STATUS, NOW, "extend-1")
    yield from (presenter.expired(reason, NOW) for reason in EndReason)
    yield Refresh(at=NOW, url="/session/refresh/")
    yield unavailable(NOW)
    yield Error(at=NOW, code="bad_message", detail="No.", id="7")
    yield Activity()
    yield from (Extend(), Extend(id="x" * 64))
    yield from (Sync(), Sync(id=""))
    yield Logout()


EXAMPLES = list(make_examples())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_committed_files_are_what_the_generator_makes(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.generated()[path], "run `make docs`"


def test_there_is_an_example_of_every_message() -> None:
    assert {type(message) for message in EXAMPLES} == {*SERVER_MESSAGES, *CLIENT_MESSAGES}


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_messages_keep_to_their_schemas(message: msgspec.Struct) -> None:
    content = json.loads(msgspec.json.encode(message))
    validator(type(message)).validate(content)
    for name in content:
        lacking = {key: value for key, value in content.items() if key != name}
        assert validator(type(message)).is_valid(lacking) == (name == "id")


def test_schema_of_a_client_message_refuses_what_the_server_refuses() -> None:
    too_long = {"type": "extend", "id": "x" * 65}
    assert not validator(Extend).is_valid(too_long)
    with pytest.raises(protocol.BadMessageError):
        protocol.decode(json.dumps(too_long))


async def test_what_a_socket_says_keeps_to_the_schemas(client: Client) -> None:
    async with tab(client) as socket:
        heard = [socket.state]
        for type, fields in [
            ("sync", {"id": "1"}),
            ("extend", {"id": "2"}),
            ("hum", {}),
            ("logout", {}),
        ]:
            await socket.say(type, **fields)
            heard.append(await socket.hear())
    assert [m["type"] for m in heard] == ["state", "state", "extended", "error", "expired"]
    by_type = {wire.tag_of(message): message for message in SERVER_MESSAGES}
    for content in heard:
        validator(by_type[content["type"]]).validate(content)


def test_references_of_the_asyncapi_document_lead_somewhere() -> None:
    references = re.findall(r'"\$ref": "#/([^"]+)"', generate.ASYNCAPI.read_text(encoding="utf-8"))
    assert references
    for reference in references:
        found: Any = ASYNCAPI
        for part in reference.split("/"):
            found = found[part]


def test_close_codes_are_those_that_the_server_sends() -> None:
    table = PROSE.partition("<!-- close codes: begin -->")[2].partition(
        "<!-- close codes: end -->"
    )[0]
    codes = {int(code) for code in re.findall(r"^\| (\d{4}) \|", table, re.MULTILINE)}
    assert codes == set(CloseCode)
    assert {int(code) for code in ASYNCAPI["channels"]["session"]["x-close-codes"]} == codes
    assert {int(code) for code in re.findall(r"\b4\d{3}\b", PROSE)} <= codes


def test_prose_names_the_rate_the_subprotocol_and_the_reasons() -> None:
    rate = MessageLimit.tokens / MessageLimit.interval
    assert f"more than {rate:g} messages a second for {MessageLimit.interval:g} seconds" in PROSE
    assert f"Offer `{protocol.SUBPROTOCOL}`" in PROSE
    assert all(f'"{reason}"' in PROSE for reason in EndReason)


def test_declared_events_are_those_of_the_client() -> None:
    cases = re.findall(r'^      case "(\w+)": this', CLIENT_JS, re.MULTILINE)
    assert cases == [wire.tag_of(message) for message in SERVER_MESSAGES]
    assert set(re.findall(r'this\.#emit\("(\w+)"', CLIENT_JS)) == set(OWN_EVENTS)
    readme = generate.README.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (?:the message|`\{)", readme, re.MULTILINE)
    assert listed == [*cases, *OWN_EVENTS]


def test_declared_members_are_those_of_the_client() -> None:
    declared = generate.DECLARATION.read_text(encoding="utf-8").partition("class SessionClient")[2]
    pattern = r"^  (get )?([a-z]\w*)(?:<.*?>)?\("
    in_declaration = set(re.findall(pattern, declared, re.MULTILINE))
    inherited = {("", "addEventListener"), ("", "removeEventListener")}
    in_client = set(
        re.findall(pattern, CLIENT_JS.partition("class SessionClient")[2], re.MULTILINE)
    )
    assert in_declaration - inherited == in_client


def test_absent_fields_are_optional_in_the_declaration() -> None:
    assert {
        (wire.tag_of(message), field.name)
        for message in wire.MESSAGES
        for field in wire.fields_of(message)
        if field.optional
    } == {
        (wire.tag_of(message), field.name)
        for message in wire.MESSAGES
        for field in msgspec.structs.fields(message)
        if field.default is UNSET
    }
