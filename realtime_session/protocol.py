"""The wire messages of ``realtime-session.v1``: what a frame may hold, and how to read and write one.

Pure: no I/O, no clock, no Django. Text frames, one JSON object each (RFC 8259) with a string ``type``.
Durations are seconds remaining as of sending; ``at`` is the server's clock in epoch seconds.
"""

import enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

SUBPROTOCOL = "realtime-session.v1"
MAX_FRAME_BYTES = 1024
MAX_BAD_MESSAGES = 10

MessageId = Annotated[str, msgspec.Meta(max_length=64)]
EndReasonWord = Literal["idle", "absolute", "logout", "revoked", "closed", "unknown"]
ErrorCode = Literal["bad_json", "bad_message", "unknown_type", "rate_limited", "unavailable"]


class CloseCode(enum.IntEnum):
    """Why the server closed a socket.

    Those from 4000 are private (RFC 6455, 7.4.2), and every server can send them. daphne sends 1000 for
    those below.
    """

    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    ENDED = 4001
    BAD_FRAMES = 4400
    NOT_SIGNED_IN = 4401
    NO_COMMON_SUBPROTOCOL = 4406
    TOO_MUCH = 4429


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every message from the server carries."""

    at: float


class State(ServerMessage, frozen=True, kw_only=True, tag="state"):
    """Where the session stands: the first message on every socket, and the answer to ``sync``."""

    phase: Literal["active", "warning"]
    expires_in: float
    warns_in: float
    reason: Literal["idle", "absolute"]
    can_extend: bool
    idle_timeout: float
    warn_before: float
    absolute_expires_in: float | None
    activity_interval: float
    activity_extends_in_warning: bool
    id: str | UnsetType = UNSET


class Warning(ServerMessage, frozen=True, kw_only=True, tag="warning"):
    """The session entered its warning phase; ``can_extend`` is false if the absolute deadline is near."""

    expires_in: float
    reason: Literal["idle", "absolute"]
    can_extend: bool


class Extended(ServerMessage, frozen=True, kw_only=True, tag="extended"):
    """The session is back in its active phase, or the answer to ``extend`` once that is stored."""

    expires_in: float
    warns_in: float
    can_extend: bool
    id: str | UnsetType = UNSET


class Expired(ServerMessage, frozen=True, kw_only=True, tag="expired"):
    """The session has ended. ``message`` is for people; ``redirect`` a login URL without ``next``."""

    reason: EndReasonWord
    message: str
    redirect: str | None


class Refresh(ServerMessage, frozen=True, kw_only=True, tag="refresh"):
    """This one tab is asked to ``POST`` to ``url``, so that the session cookie does not lapse."""

    url: str


class Error(ServerMessage, frozen=True, kw_only=True, tag="error"):
    """The last client message was not acted on; nothing else changed."""

    code: ErrorCode
    detail: str
    id: str | UnsetType = UNSET


class Activity(msgspec.Struct, frozen=True, tag_field="type", tag="activity"):
    """The user did something in this tab since the last such message."""


class Extend(msgspec.Struct, frozen=True, tag_field="type", tag="extend"):
    """The user chose to stay."""

    id: MessageId | UnsetType = UNSET


class Sync(msgspec.Struct, frozen=True, tag_field="type", tag="sync"):
    """Send me the state now."""

    id: MessageId | UnsetType = UNSET


class Logout(msgspec.Struct, frozen=True, tag_field="type", tag="logout"):
    """End this session now, in every tab."""


ClientMessage = Activity | Extend | Sync | Logout
SERVER_MESSAGES = (State, Warning, Extended, Expired, Refresh, Error)
CLIENT_MESSAGES = (Activity, Extend, Sync, Logout)
_CLIENT_TYPES = frozenset(str(m.__struct_config__.tag) for m in CLIENT_MESSAGES)

_decoder = msgspec.json.Decoder(ClientMessage)
_encoder = msgspec.json.Encoder()


class BadMessageError(Exception):
    """A text frame that is no client message. ``code``, ``detail`` and ``id`` are what to answer."""

    def __init__(self, code: ErrorCode, detail: str, id: str | UnsetType = UNSET) -> None:
        super().__init__(detail)
        self.code: ErrorCode = code
        self.detail = detail
        self.id = id


class BadFrameError(Exception):
    """A frame that the protocol does not allow at all: the socket is to be closed with 4400."""


def encode(message: ServerMessage) -> str:
    """Return the text frame of a server message."""
    return _encoder.encode(message).decode()


def decode(text: str | None) -> ClientMessage:
    """Return the client message in a text frame; ``None`` stands for a binary frame.

    Raises BadFrameError for a binary frame or one over 1 KiB, BadMessageError for what is no message.
    """
    if text is None:
        raise BadFrameError("binary frames are not part of the protocol")
    # A character takes at least one byte: long frames are refused before they are encoded.
    if (
        len(text) > MAX_FRAME_BYTES
        or len(frame := text.encode("utf-8", "replace")) > MAX_FRAME_BYTES
    ):
        raise BadFrameError("the frame is longer than 1 KiB")
    try:
        message: ClientMessage = _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _explain(frame) from None
    return message


def _explain(frame: bytes) -> BadMessageError:
    """Say what is wrong with a frame that did not decode (the slow path, for bad frames only)."""
    try:
        content: Any = msgspec.json.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return BadMessageError("bad_json", "The frame is not valid JSON.")
    if not isinstance(content, dict):
        return BadMessageError("bad_message", "A message is a JSON object.")
    given = content.get("id")
    id = given if isinstance(given, str) and len(given) <= 64 else UNSET
    kind = content.get("type")
    if not isinstance(kind, str):
        return BadMessageError("bad_message", "A message needs a string field “type”.", id)
    if kind not in _CLIENT_TYPES:
        return BadMessageError("unknown_type", "The server knows no message of this type.", id)
    detail = "The field “id” is a string of at most 64 characters, and “type” comes once."
    return BadMessageError("bad_message", detail, id)
