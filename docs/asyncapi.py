"""The protocol as AsyncAPI 3 with JSON Schemas, from the message types."""

from typing import Any

import msgspec

from docs.wire import MESSAGES, fields_of, summary_of, tag_of
from docs.words import CLOSE_CODES, FIELDS
from realtime_session import __version__, conf, protocol
from realtime_session.protocol import CLIENT_MESSAGES, SERVER_MESSAGES

_CHANNEL = "#/channels/session"
_REPLIES = {
    "activity": (),
    "extend": ("extended", "expired", "error"),
    "sync": ("state", "expired", "error"),
    "logout": ("expired", "error"),
}


def document() -> dict[str, Any]:
    """Return the AsyncAPI document, as the server sees it: it receives what clients send."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "django-realtime-session",
            "version": __version__,
            "description": (
                "How a server tells the tabs of a session that it is about to end, or has ended, "
                f"and what the tabs tell the server. Subprotocol `{protocol.SUBPROTOCOL}`."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {"session": _channel()},
        "operations": {"push": _push(), **{tag_of(m): _operation(m) for m in CLIENT_MESSAGES}},
        "components": {
            "messages": {tag_of(message): _message(message) for message in MESSAGES},
            "schemas": schemas(),
        },
    }


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of each message, by the name of its type."""
    _, found = msgspec.json.schema_components(MESSAGES, ref_template="#/components/schemas/{name}")
    for message in MESSAGES:
        schema = found[message.__name__]
        schema["description"] = summary_of(message)
        properties = schema["properties"]
        properties["type"]["description"] = FIELDS["type"]
        for field in fields_of(message):
            properties[field.name]["description"] = field.meaning
    return found


def _channel() -> dict[str, Any]:
    return {
        "address": conf.Settings.websocket_url,
        "description": "One WebSocket for each tab of a logged-in person. Text frames only.",
        "messages": {
            tag_of(message): {"$ref": f"#/components/messages/{tag_of(message)}"}
            for message in MESSAGES
        },
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
        "x-subprotocol": protocol.SUBPROTOCOL,
        "x-max-frame-bytes": protocol.MAX_FRAME_BYTES,
        "x-close-codes": {str(int(code)): meaning for code, (meaning, _) in CLOSE_CODES.items()},
    }


def _message(message: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": tag_of(message),
        "summary": summary_of(message),
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
    }


def _push() -> dict[str, Any]:
    return {
        "action": "send",
        "summary": "What the server tells a tab.",
        "channel": {"$ref": _CHANNEL},
        "messages": [_in_channel(tag_of(message)) for message in SERVER_MESSAGES],
    }


def _operation(message: type[msgspec.Struct]) -> dict[str, Any]:
    tag = tag_of(message)
    operation: dict[str, Any] = {
        "action": "receive",
        "summary": summary_of(message),
        "channel": {"$ref": _CHANNEL},
        "messages": [_in_channel(tag)],
    }
    if _REPLIES[tag]:
        operation["reply"] = {
            "channel": {"$ref": _CHANNEL},
            "messages": [_in_channel(reply) for reply in _REPLIES[tag]],
        }
    return operation


def _in_channel(tag: str) -> dict[str, str]:
    return {"$ref": f"{_CHANNEL}/messages/{tag}"}
