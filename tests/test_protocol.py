import json
import re

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from realtime_session import protocol
from realtime_session.policy import EndReason
from realtime_session.protocol import (
    Activity,
    BadFrameError,
    BadMessageError,
    CloseCode,
    Error,
    Expired,
    Extend,
    Extended,
    Logout,
    Refresh,
    State,
    Sync,
    Warning,
    decode,
    encode,
)

STATE = State(
    at=1000.25,
    phase="active",
    expires_in=900,
    warns_in=780,
    reason="idle",
    can_extend=True,
    idle_timeout=900,
    warn_before=120,
    absolute_expires_in=None,
    activity_interval=1,
    activity_extends_in_warning=False,
)
STATE_FIELDS = {
    "type": "state",
    "at": 1000.25,
    "phase": "active",
    "expires_in": 900,
    "warns_in": 780,
    "reason": "idle",
    "can_extend": True,
    "idle_timeout": 900,
    "warn_before": 120,
    "absolute_expires_in": None,
    "activity_interval": 1,
    "activity_extends_in_warning": False,
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (STATE, STATE_FIELDS),
        (msgspec.structs.replace(STATE, id="7"), STATE_FIELDS | {"id": "7"}),
        (
            Warning(at=1, expires_in=20, reason="absolute", can_extend=False),
            {
                "type": "warning",
                "at": 1,
                "expires_in": 20,
                "reason": "absolute",
                "can_extend": False,
            },
        ),
        (
            Extended(at=1, expires_in=900, warns_in=780, can_extend=True),
            {"type": "extended", "at": 1, "expires_in": 900, "warns_in": 780, "can_extend": True},
        ),
        (
            Extended(at=1, expires_in=900, warns_in=780, can_extend=True, id=""),
            {
                "type": "extended",
                "at": 1,
                "expires_in": 900,
                "warns_in": 780,
                "can_extend": True,
                "id": "",
            },
        ),
        (
            Expired(at=1, reason="idle", message="Zu spät.", redirect=None),
            {
                "type": "expired",
                "at": 1,
                "reason": "idle",
                "message": "Zu spät.",
                "redirect": None,
            },
        ),
        (Refresh(at=1, url="/s/"), {"type": "refresh", "at": 1, "url": "/s/"}),
        (
            Error(at=1, code="bad_json", detail="No."),
            {"type": "error", "at": 1, "code": "bad_json", "detail": "No."},
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_server_message_is_one_json_object_with_the_fields_of_the_protocol(message, expected):
    frame = encode(message)
    assert isinstance(frame, str)
    assert json.loads(frame) == expected
    assert msgspec.json.decode(frame, type=type(message)) == message


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ('{"type": "activity"}', Activity()),
        ('{"type": "extend"}', Extend()),
        ('{"type": "extend", "id": "7"}', Extend("7")),
        ('{"type": "extend", "id": ""}', Extend("")),
        ('{"type": "sync"}', Sync()),
        ('{"id": "ü⏳", "type": "sync"}', Sync("ü⏳")),
        ('{"type": "logout"}', Logout()),
        (' \n{"type" : "logout"}\t', Logout()),
        (r'{"type": "\u006cogout"}', Logout()),
    ],
)
def test_client_message_is_read(frame, message):
    assert decode(frame) == message


@pytest.mark.parametrize("message", [Activity(), Extend(), Extend("x"), Sync("ä"), Logout()])
def test_client_message_survives_the_round_trip(message):
    assert decode(msgspec.json.encode(message).decode()) == message


def test_unknown_fields_are_ignored_whatever_they_hold():
    frame = '{"type": "extend", "id": "7", "at": 1e9, "expires_in": [{"a": null}], "": 0}'
    assert decode(frame) == Extend("7")
    assert decode('{"type": "activity", "id": 7}') == Activity()


def assert_bad(frame, code, id=UNSET):
    with pytest.raises(BadMessageError) as caught:
        decode(frame)
    assert caught.value.code == code
    assert caught.value.id == id
    assert caught.value.detail == str(caught.value) != ""
    # What is answered must itself be sendable.
    encode(Error(at=0, code=code, detail=caught.value.detail, id=caught.value.id))


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "{",
        "}",
        "activity",
        "{type: 'activity'}",
        '{"type": "activity"',
        '{"type": "activity"}{"type": "activity"}',
        '{"type": "activity"} x',
        '{"type": "activity",}',
        '{"type": "activity", "at": NaN}',
        '{"type": "activity", "at": Infinity}',
        '{"type": "activity", "at": 01}',
        '{"type": "acti\nvity"}',
        '{"type": "activity", "x": "\\ud800"}',
        '{"type": "activity", "x": "\\udc00\\ud800"}',
        "\ufeff{}",
        "[" * 1024,
        '{"a":' * 204,
    ],
)
def test_broken_json_is_bad_json(frame):
    assert_bad(frame, "bad_json")


@pytest.mark.parametrize("frame", ["null", "true", "0", "-1.5e3", '"activity"', "[]", "[{}]"])
def test_json_that_is_no_object_is_a_bad_message(frame):
    assert_bad(frame, "bad_message")


@pytest.mark.parametrize("type", ["null", "1", "true", "[]", '["activity"]', '{"a": 1}'])
def test_type_that_is_no_string_is_a_bad_message(type):
    assert_bad(f'{{"type": {type}}}', "bad_message")


def test_missing_type_is_a_bad_message():
    assert_bad("{}", "bad_message")
    assert_bad('{"id": "7"}', "bad_message", id="7")
    assert_bad('{"Type": "activity"}', "bad_message")


@pytest.mark.parametrize(
    "type",
    [
        "",
        "Activity",
        "activity ",
        "state",
        "warning",
        "extended",
        "expired",
        "refresh",
        "error",
        "websocket.connect",
        "websocket.receive",
        "websocket.disconnect",
        "websocket.close",
        "session.changed",
        "realtime_session.nudge",
        "connect",
        "dispatch",
        "__init__",
    ],
)
def test_types_that_are_not_the_clients_are_unknown(type):
    assert_bad(json.dumps({"type": type}), "unknown_type")
    assert_bad(json.dumps({"type": type, "id": "7"}), "unknown_type", id="7")


@pytest.mark.parametrize("type", ["extend", "sync"])
def test_id_has_at_most_64_characters(type):
    for id in ("a" * 64, "⏳" * 64):
        assert decode(json.dumps({"type": type, "id": id})).id == id
    for id in ("a" * 65, "⏳" * 65):
        assert_bad(json.dumps({"type": type, "id": id}), "bad_message")


@pytest.mark.parametrize("id", [None, 7, 1.5, True, [], ["a"], {}])
def test_id_that_is_no_string_is_a_bad_message(id):
    assert_bad(json.dumps({"type": "extend", "id": id}), "bad_message")


def test_id_too_long_to_be_one_is_not_echoed():
    assert_bad(json.dumps({"type": "nonsense", "id": "a" * 64}), "unknown_type", id="a" * 64)
    assert_bad(json.dumps({"type": "nonsense", "id": "a" * 65}), "unknown_type")


def test_duplicate_keys_never_make_two_messages_of_one():
    assert decode('{"type": "sync", "id": "a", "id": "b"}') == Sync("b")
    assert_bad('{"type": "sync", "type": "logout"}', "bad_message")
    assert_bad('{"type": "logout", "type": "x"}', "unknown_type")


@pytest.mark.parametrize("depth", [10, 100, 400])
def test_nesting_in_an_unknown_field_is_ignored(depth):
    assert decode('{"type": "activity", "x": ' + "[" * depth + "]" * depth + "}") == Activity()


def test_nesting_as_deep_as_a_frame_allows_is_bad_and_no_more():
    with pytest.raises(BadMessageError) as caught:
        decode("[" * 512 + "]" * 512)
    # Which of the two depends on how much of the stack is used already.
    assert caught.value.code in ("bad_message", "bad_json")


def test_lone_surrogates_that_a_server_let_through_do_no_harm():
    assert_bad('{"type": "\ud800"}', "unknown_type")
    assert_bad("\udcff", "bad_json")


def filled(length):
    """A valid message of exactly so many bytes."""
    frame = '{"type": "activity", "x": ""}'
    return frame.replace('""', '"' + "a" * (length - len(frame)) + '"')


def test_frame_of_1_kib_is_read_and_one_byte_more_is_not():
    assert len(filled(1024)) == 1024
    assert decode(filled(1023)) == Activity()
    assert decode(filled(1024)) == Activity()
    with pytest.raises(BadFrameError):
        decode(filled(1025))


def test_length_of_a_frame_is_counted_in_bytes():
    fits = filled(1022).replace("aa", "ä", 1)
    assert len(fits.encode()) == 1022
    assert decode(fits) == Activity()
    with pytest.raises(BadFrameError):
        decode(filled(1024).replace("a}", "ä}").replace('a"}', 'ä"}'))


@pytest.mark.parametrize("frame", [None, "x" * 1025, "[" * 5_000, "a" * 20_000_000])
def test_frames_that_are_binary_or_too_long_are_refused_at_once(frame):
    with pytest.raises(BadFrameError):
        decode(frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
almost_messages = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["activity", "extend", "sync", "logout", "x"]) | json_values,
        "id": st.text(max_size=70) | json_values,
        "at": json_values,
    },
)


def assert_answered(frame):
    try:
        message = decode(frame)
    except BadMessageError as error:
        encode(Error(at=0, code=error.code, detail=error.detail, id=error.id))
    except BadFrameError:
        pass
    else:
        assert isinstance(message, protocol.CLIENT_MESSAGES)


# Lone surrogates included: not every server refuses them.
@given(st.text(st.characters(codec=None)))
@example('{"type": "\x00"}')
def test_any_text_is_a_message_or_one_of_the_two_errors(text):
    assert_answered(text)


@given(st.binary())
def test_any_bytes_that_came_as_text_are_a_message_or_one_of_the_two_errors(data):
    assert_answered(data.decode("utf-8", "surrogateescape"))
    assert_answered(data.decode("latin1"))


@given(almost_messages | json_values)
def test_any_json_is_a_message_or_one_of_the_two_errors(value):
    assert_answered(json.dumps(value))
    assert_answered(json.dumps(value, ensure_ascii=False))


def test_close_codes_are_those_of_the_protocol():
    assert {code.name: int(code) for code in CloseCode} == {
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "ENDED": 4001,
        "BAD_FRAMES": 4400,
        "NOT_SIGNED_IN": 4401,
        "NO_COMMON_SUBPROTOCOL": 4406,
        "TOO_MUCH": 4429,
    }


def test_private_close_codes_are_in_the_range_that_every_server_can_send():
    assert all(code in (1012, 1013) or 3000 <= code <= 4999 for code in CloseCode)


def test_words_are_those_of_the_protocol():
    assert protocol.SUBPROTOCOL == "realtime-session.v1"
    assert protocol.MAX_FRAME_BYTES == 1024
    assert protocol.MAX_BAD_MESSAGES == 10
    assert tags(protocol.SERVER_MESSAGES) == [
        "state", "warning", "extended", "expired", "refresh", "error",
    ]  # fmt: skip
    assert tags(protocol.CLIENT_MESSAGES) == ["activity", "extend", "sync", "logout"]
    assert protocol.ErrorCode.__args__ == (
        "bad_json", "bad_message", "unknown_type", "rate_limited", "unavailable",
    )  # fmt: skip


def test_reasons_are_those_of_the_policy():
    assert protocol.EndReasonWord.__args__ == tuple(str(reason) for reason in EndReason)


def test_no_client_message_carries_a_time():
    carried = {
        field.name
        for message in protocol.CLIENT_MESSAGES
        for field in msgspec.structs.fields(message)
    }
    assert carried == {"id"}


def test_every_type_is_a_plain_word():
    for tag in tags(protocol.SERVER_MESSAGES + protocol.CLIENT_MESSAGES):
        assert re.fullmatch("[a-z]+", tag)


def tags(messages):
    return [message.__struct_config__.tag for message in messages]
