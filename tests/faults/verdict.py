"""What has to hold whatever fails, compared with what the crowd heard and what receivers of signals wrote."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import httpx

from tests.faults.crowd import Crowd, Person
from tests.project.ends import End
from tests.servers import Server

LATE = 1.0
"""Seconds by which an end may be late: what the protocol promises."""
OVERLOADED = 15.0
"""The same where thousands of tabs and their clients take all of two cores: what comes late still comes."""
MOST_WAITED = 3.0
"""Seconds for which a busy machine is an excuse, times its slowness; beyond that, a run says nothing."""
ROUNDING = 0.01
PATIENCE = 15.0
SAMPLE = 3

Findings = list[str]


@dataclass
class Verdict:
    """What was found against each invariant.

    ``latest`` are the seconds by which the last tab heard of its end, ``waited`` the most of such seconds for
    which the machine let our processes wait: what is late by no more than that and ``late`` is in time.
    """

    fault: str
    people: int
    late: float
    ended_early: Findings = field(default_factory=list)
    kept_too_long: Findings = field(default_factory=list)
    ended_twice: Findings = field(default_factory=list)
    not_told: Findings = field(default_factory=list)
    left_over: Findings = field(default_factory=list)
    latest: float = 0.0
    waited: float = 0.0
    seconds: float = 0.0

    @property
    def findings(self) -> Findings:
        return [
            *self.ended_early,
            *self.kept_too_long,
            *self.ended_twice,
            *self.not_told,
            *self.left_over,
        ]


def judge(
    fault: str,
    crowd: Crowd,
    ends: Sequence[End],
    *,
    may_repeat: Collection[str] = (),
    late: float = LATE,
) -> Verdict:
    """Compare; ``may_repeat`` are sids whose end a process died of delivering.

    ``late`` are the seconds by which an end, and the news of it, may be late.
    """
    verdict = Verdict(fault, len(crowd.people), late)
    by_sid = {end.sid: end for end in reversed(ends)}
    for person in crowd.people:
        end = by_sid.get(person.sid)
        if person.is_active:
            _judge_active(person, end, verdict)
        else:
            _judge_idle(person, end, crowd, verdict)
    for sid in crowd.visits.strangers if crowd.visits else ():
        verdict.ended_early.append(f"{sid[:8]} worked and was nobody over HTTP")
    for sid, times in Counter(end.sid for end in ends).items():
        if times > (2 if sid in may_repeat else 1):
            verdict.ended_twice.append(f"{sid[:8]} ended {times} times")
    verdict.seconds = time.time() - crowd.began_at
    return verdict


def _judge_active(person: Person, end: End | None, verdict: Verdict) -> None:
    told = [tab.told.reason or "4401" for tab in person.tabs if tab.told]
    if end is not None or told:
        verdict.ended_early.append(f"{person.sid[:8]} worked and was ended: {end}, {told}")
    elif not all(tab.connected_at for tab in person.tabs):
        codes = [dict(tab.codes) for tab in person.tabs]
        verdict.not_told.append(f"{person.sid[:8]} works and is not connected: {codes}")


def _judge_idle(person: Person, end: End | None, crowd: Crowd, verdict: Verdict) -> None:
    name, due_at = person.sid[:8], person.deadline_at
    if end is None:
        verdict.kept_too_long.append(f"{name} was due at {due_at:.2f} and never ended")
        return
    if end.at < due_at - ROUNDING:
        verdict.ended_early.append(f"{name} ended {due_at - end.at:.2f} s early: {end}")
    if _is_late(crowd.excused(due_at), end.at, crowd, verdict):
        verdict.kept_too_long.append(f"{name} ended {end.at - due_at:.2f} s late")
    for tab in person.tabs:
        if tab.told is None:
            verdict.not_told.append(f"a tab of {name} was never told: {dict(tab.codes)}")
        elif tab.told.connected_at is not None:
            told_at = crowd.store_time(tab.told.at)
            could_hear_at = max(
                crowd.excused(due_at, tab.told.port), crowd.store_time(tab.told.connected_at)
            )
            late = told_at - could_hear_at
            verdict.latest = max(verdict.latest, late)
            if _is_late(could_hear_at, told_at, crowd, verdict):
                verdict.not_told.append(
                    f"a tab of {name} was told {late:.2f} s late in {tab.told.port}"
                )


def _is_late(due_at: float, at: float, crowd: Crowd, verdict: Verdict) -> bool:
    if at <= due_at:
        return False
    waited = min(crowd.waits.between(due_at, at), MOST_WAITED * crowd.slowness)
    verdict.waited = max(verdict.waited, waited)
    return at > due_at + verdict.late + waited


async def ask_over_http(crowd: Crowd, server: Server, verdict: Verdict) -> None:
    """Whoever works is served as themselves, whoever was ended as nobody: some of each are asked for."""
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as http:
        for person in [*crowd.active[:SAMPLE], *crowd.idle[:SAMPLE]]:
            cookie = {"Cookie": f"sessionid={person.session_key}"}
            user = (await http.get("/whoami/", headers=cookie)).json()["user"]
            if person.is_active and not user:
                verdict.ended_early.append(f"{person.sid[:8]} works and is nobody over HTTP")
            elif user and not person.is_active:
                verdict.kept_too_long.append(f"{person.sid[:8]} is still somebody over HTTP")


async def look_inside(servers: Sequence[Server], verdict: Verdict) -> None:
    """Nothing of ours is left in a process that has no socket any more."""
    for server in servers:
        give_up_at = time.monotonic() + PATIENCE + 4 * (verdict.late - LATE)
        while (inside := await asyncio.to_thread(server.inside))["own"] or inside["hubs"]:
            if time.monotonic() > give_up_at:
                verdict.left_over.append(f"{server.log.stem}: {inside}")
                break
            await asyncio.sleep(0.1)
