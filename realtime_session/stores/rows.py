"""A record as a row of the ORM store's table, and back."""

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from ..logs import get_logger, short
from ..models import NEVER, TEXT_LENGTHS
from ..policy import EndReason, Policy, Record

logger = get_logger(__name__)

POLICY_COLUMNS = [f.name for f in fields(Policy)]
RECORD_COLUMNS = [name for name in Record.__struct_fields__ if name != "policy"]
COLUMNS = RECORD_COLUMNS + POLICY_COLUMNS
LIMIT_COLUMNS = [
    *POLICY_COLUMNS,
    *("idle_cap", "fixed_end_at", "idle_limit", "warn_limit", "hard_end_at", "due_after"),
]
"""What a change of policy or expiry writes; activity meanwhile is not undone by it."""


def fitted(record: Record) -> Record:
    """Return the record with what clients sent cut to what the columns can hold."""
    texts = {
        # PostgreSQL cannot hold NUL.
        name: getattr(record, name).replace("\0", "")[:length]
        for name, length in TEXT_LENGTHS.items()
    }
    return replace(record, **texts)


def to_columns(record: Record) -> dict[str, Any]:
    """Return the values of all columns, those that only the table has included."""
    columns = {name: getattr(record, name) for name in RECORD_COLUMNS}
    columns |= {name: getattr(record.policy, name) for name in POLICY_COLUMNS}
    hard_end_at = record.absolute_end_at
    return columns | {
        "end_reason": record.end_reason or "",
        "previous_activity_at": record.last_activity_at,
        "idle_limit": record.idle_limit,
        "warn_limit": record.warn_limit,
        "hard_end_at": NEVER if hard_end_at is None else hard_end_at,
        "due_after": None if record.ended_at is not None else record.deadline_at,
    }


def to_record(values: tuple[Any, ...]) -> Record:
    """Return the record in the values of ``COLUMNS``, in that order.

    A row that cannot be read, since somebody wrote into the table, is ``refused``, and no other with it.
    """
    facts = dict(zip(RECORD_COLUMNS, values, strict=False))
    facts["finished"] = bool(facts["finished"])
    reason, facts["end_reason"] = facts["end_reason"], None
    try:
        facts["end_reason"] = EndReason(reason) if reason else None
        return Record(policy=_policy(values[len(RECORD_COLUMNS) :]), **facts)
    except (ValueError, TypeError) as error:
        return refused(facts, error)


def refused(facts: Mapping[str, Any], error: Exception) -> Record:
    """Return what stands for a record that cannot be read, which is logged: one that has ended.

    Of its ``facts`` it has what could be read. Its session is served to nobody.
    """
    sid = short(facts["sid"])
    logger.error(
        "The record of %s… is refused: %s.",
        sid,
        error,
        extra={"event": "bad_record", "sid": sid, "error": str(error)},
    )
    ended_at = facts["ended_at"]
    made_up = {
        "ended_at": facts["last_activity_at"] if ended_at is None else ended_at,
        "end_reason": facts["end_reason"] or EndReason.UNKNOWN,
    }
    return Record(**{**facts, **made_up})


@lru_cache(maxsize=256)
def _policy(values: tuple[Any, ...]) -> Policy:
    """Return the policy in its columns' values: one object for the many sessions that share it."""
    policy = dict(zip(POLICY_COLUMNS, values, strict=True))
    policy["activity_extends_in_warning"] = bool(policy["activity_extends_in_warning"])
    return Policy(**policy)
