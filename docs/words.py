"""The sentences that the code does not hold: one for each setting, field and close code.

The generator fails where one is missing or has nothing to describe any more.
"""

from realtime_session.protocol import CloseCode

SETTINGS = {
    "IDLE_TIMEOUT": "A session ends after this long without activity.",
    "WARN_BEFORE": "How long before the end every tab is warned. Under 20 s, `check` warns (WCAG 2.2.1).",
    "ABSOLUTE_TIMEOUT": "A session ends this long after its login, whatever happens. `None`: no such end.",
    "TAB_CLOSE_GRACE": (
        "How long a session lives on after its last tab was closed. Reloads, navigation, pages without "
        "the monitor and restarts of a server are no closing."
    ),
    "ACTIVITY_EXTENDS_IN_WARNING": (
        "Whether mere activity ends a warning. If not, the person has to choose to stay."
    ),
    "POLICY": (
        "Instead of the five settings above: the name of one of `realtime_session.policy.PRESETS`, or the "
        "path of a callable that takes a login's request and returns a `Policy`."
    ),
    "PASSIVE_URLS": "Regular expressions, searched for in `request.path`. What matches is no activity.",
    "PASSIVE_URL_NAMES": "URL names, with their namespaces, whose requests are no activity.",
    "STORE": (
        "Where the records are kept. `realtime_session.stores.redis.RedisStore` is for many processes and "
        "machines: see [redis.md](docs/redis.md). `realtime_session.stores.memory.MemoryStore` is for tests: "
        "it ends with its process."
    ),
    "ON_STORE_ERROR": (
        'What people with a session get while the store does not answer: `"deny"` answers 503, '
        '`"allow"` lets them through unchecked.'
    ),
    "CHANNEL_LAYER": "Alias of the channel layer that carries nudges between processes; `None` for none.",
    "ALLOWED_ORIGINS": (
        "Who may open the socket, such as `https://app.example.com` or `https://*.example.com`. "
        "`None`: the origins that Django's CSRF check allows."
    ),
    "MAX_TABS": "How many tabs of one session a process serves. Further ones are closed with 4429.",
    "WEBSOCKET_URL": "Path or URL at which the browser finds the socket. `None`: there is none.",
    "LOGOUT_URL": (
        "Where the dialog's “Sign out” posts to. `None`: the URL named `logout` or `account_logout`, "
        "else the socket ends the session."
    ),
    "RECORD_CLIENT": "Whether IP address and user agent of the login are recorded.",
    "NO_STORE": (
        "Whether browsers keep nothing of what people with a session get: `Cache-Control: no-store`, unless "
        "the view sets that header itself."
    ),
    "SWEEP_INTERVAL": (
        "How often, roughly, a process with open sockets ends sessions that no tab and no request asks for."
    ),
    "REVALIDATE_INTERVAL": (
        "How soon open tabs hear that their user was deleted, deactivated or given another password, or "
        "their Django session deleted, by somebody else."
    ),
}

FIELDS = {
    "type": "Which message this is.",
    "at": "The server's clock as it sent this, in epoch seconds.",
    "phase": "Whether the session is in its warning phase.",
    "expires_in": "Seconds until the session ends if nothing more happens.",
    "warns_in": "Seconds until the warning; 0 during it.",
    "reason": "Which deadline is the nearer one.",
    "can_extend": "Whether choosing to stay would move the end. False where the absolute deadline is near.",
    "idle_timeout": "Seconds that the session may be idle.",
    "warn_before": "Seconds of warning before the end.",
    "absolute_expires_in": "Seconds until the end that nothing moves; null without one.",
    "activity_interval": "Send `activity` at most once in so many seconds.",
    "activity_extends_in_warning": "Whether `activity` counts during the warning.",
    "id": "That of the message which this one answers. Absent where it answers none.",
    "expired.reason": "Why it ended.",
    "message": "The reason in words for people, in their language.",
    "redirect": "Where to log in, without `next`: the client knows its own page. Null if there is none.",
    "url": "Where to send `POST`, with cookies and CSRF token. It answers 204.",
    "code": "What was wrong.",
    "detail": "The same in words for developers.",
    "extend.id": "Is repeated in the answer. At most 64 characters.",
    "sync.id": "Is repeated in the answer. At most 64 characters.",
}

CLOSE_CODES = {
    CloseCode.ENDED: ("The session has ended. `expired` was sent before.", "stops"),
    CloseCode.BAD_FRAMES: (
        "A binary frame, a frame that is too long, or too many bad messages.",
        "stops, and logs an error",
    ),
    CloseCode.NOT_SIGNED_IN: (
        "No live session is behind the cookie. `expired` was sent before if one ended meanwhile.",
        "stops",
    ),
    CloseCode.NO_COMMON_SUBPROTOCOL: (
        "The client offered subprotocols, and none that the server speaks.",
        "stops, and logs an error",
    ),
    CloseCode.TOO_MUCH: (
        "More than 10 messages a second for 5 seconds, or too many tabs of one session.",
        "reconnects after 30 s",
    ),
    CloseCode.SERVICE_RESTART: (
        "The server stops, as for a restart.",
        "reconnects, within 5 s",
    ),
    CloseCode.TRY_AGAIN_LATER: (
        "The server cannot serve this tab now: its store is down, or the tab reads too slowly.",
        "reconnects",
    ),
}

EVENTS = {
    "bad_record": "Somebody wrote into the store what cannot be read, another version of the package perhaps."
    " The session is served to nobody.",
    "batch_failed": "A call for many sessions failed in a way that is no store's. A bug: please report it.",
    "clock_stepped": "The store's clock was set, or its machine slept.",
    "deleted_one_by_one": "The session engine could not delete many Django sessions at once.",
    "django_session_not_deleted": "The session engine failed. The session has ended; a sweep tries again.",
    "ended_again": "The store had lost an end, as after a failover. It counts again; no signal is sent.",
    "failing": "A background task failed and is tried again. `realtime-session-bus` is the channel layer's.",
    "login_without_store": "Somebody logged in while the store was down, with `ON_STORE_ERROR` as `allow`.",
    "logout_without_store": "Somebody logged out while the store was down. Their record ends when it is due.",
    "lost_tab": "A tab went while it was being told something.",
    "not_ready": "A probe was told `unready` or `degraded`.",
    "not_revalidated": "Nobody could say whether people may still be logged in. It is tried again.",
    "nudge_not_sent": "The channel layer failed. Tabs in other processes hear when those look by themselves.",
    "request_not_followed": "The store went away during a request, which was answered as usual.",
    "request_without_store": "The store did not answer; `ON_STORE_ERROR` says what the request got.",
    "session_ended": "A session ended, for `reason`. Logged once, by the process that ended it.",
    "session_started": "Somebody logged in, or a session from before is taken up.",
    "slow_tab": "A tab read too slowly, was closed, and comes back.",
    "socket_not_served": "The store, session engine or authentication backend failed. The tab comes back.",
    "still_failing": "It failed once more, in a way that was logged before.",
    "store_told_again": "The store came back empty or as it was before. It knows again who is connected.",
    "working": "What was `failing` works again.",
}
"""What each event of the log says."""
