"""What a request means for its session: may it be served, before the view, and what is new, after it?"""

import time

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from . import answers, conf, engine, logins, monitor
from .answers import SessionEnded
from .logs import get_logger
from .looks import looks
from .passivity import is_deliberate, is_passive
from .policy import EndReason, Record
from .stores import StoreUnavailable
from .wording import MESSAGES, message_for

logger = get_logger(__name__)

RETRY_AFTER = 5


class Visit:
    """One request: what was known of its session before the view, and what to do after it."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        self.sid: str | None = None
        self.was_known = False
        self.now = time.time()
        request.session_ended = None  # type: ignore[attr-defined]

    @property
    def is_known(self) -> bool:
        """Whether a look within the last moments answers for this request, without any query."""
        look = looks.recall(self.cookie) if self.cookie else None
        if look is None or not look.counted:
            return False
        if look.record.policy.tab_close_grace is not None and is_deliberate(self.request):
            return False
        self.sid, self.now, self.was_known = look.record.sid, look.now, True
        return True

    @property
    def has_more_to_do(self) -> bool:
        """Whether the session was used at all, by the view or before it, or is going to be saved."""
        is_saved = settings.SESSION_SAVE_EVERY_REQUEST and self.sid is not None
        return is_saved or bool(self.request.session.accessed) or self._has_messages

    @property
    def _has_messages(self) -> bool:
        """Whether messages are to be stored after us, perhaps in the session."""
        storage = getattr(self.request, "_messages", None)
        is_changed = getattr(storage, "added_new", False) or getattr(storage, "used", False)
        return self.sid is not None and bool(is_changed)

    def begin(self) -> HttpResponse | None:
        """Look at the session, count the request, refuse an ended session; return a 503 or nothing."""
        session = self.request.session
        if session.session_key is None and not session.modified:
            self._explain_arrival()
            return None
        sid = session.get(engine.SID_KEY)
        try:
            if sid is not None:
                self._admit(sid)
            elif engine.is_logged_in(session) and self.request.user.is_authenticated:
                self._adopt()
            else:
                self._explain_absence()
        except StoreUnavailable as error:
            logger.warning(
                "The store did not answer a request: %s",
                error,
                extra={"event": "request_without_store", "error": str(error)},
            )
            if conf.current().on_store_error == "deny":
                return try_again_later()
        return None

    def finish(self, response: HttpResponseBase) -> HttpResponseBase:
        """After the view: see who is logged in now, and let nothing revive an ended session."""
        ended: SessionEnded | None = self.request.session_ended  # type: ignore[attr-defined]
        if ended is not None:
            return answers.in_place_of(self.request, response, ended, self.now)
        try:
            return self._follow(response)
        except StoreUnavailable as error:
            # The view has run and its answer is true; the next request is refused or looks again.
            logger.warning(
                "The store did not answer after a request: %s",
                error,
                extra={"event": "request_not_followed", "error": str(error)},
            )
            return response

    def keep_from_caches(self, response: HttpResponseBase) -> None:
        """Have the browser store nothing of a session, where that is wanted and the view decided nothing."""
        if self.sid is not None and conf.current().no_store:
            response.headers.setdefault("Cache-Control", "no-store")

    def _adopt(self) -> None:
        """Begin to monitor a session that was logged in before."""
        sid, is_new = logins.adopt(self.request)
        if is_new:
            self.sid = sid
        else:
            self._admit(sid)

    def _admit(self, sid: str) -> None:
        counts = not is_passive(self.request)
        # A page that was opened is a choice to stay, and a tab that may come or go.
        page = counts and is_deliberate(self.request)
        found = monitor.admit(sid, counts=counts, extend=page, page=page)
        self.now = found.now
        if found.ended is not None or found.record is None:
            self._refuse(found.ended or EndReason.UNKNOWN)
            return
        self.sid = sid
        key = engine.revocable_key(self.request.session)
        if key and key != found.record.session_key:
            # Changed where we could not see it, such as by a middleware around this one.
            monitor.bind(sid, self.request.session)
        if self.cookie:
            looks.remember(self.cookie, found.record, found.now, counted=counts)

    def _refuse(self, reason: EndReason) -> None:
        """Go on as anonymous: the session is emptied, so Django deletes the cookie."""
        request = self.request
        request.session.flush()
        nobody = AnonymousUser()

        async def auser() -> AnonymousUser:
            return nobody

        request.user = nobody
        request._cached_user = request._acached_user = nobody  # type: ignore[attr-defined]
        request.auser = auser
        ended = SessionEnded(reason, message_for(reason))
        request.session_ended = ended  # type: ignore[attr-defined]
        messages.warning(request, ended.message, fail_silently=True)

    def _explain_absence(self) -> None:
        """Nobody is logged in: say why if the cookie's session was one that we ended and deleted."""
        reason = None
        if self.cookie and self.request.session.session_key != self.cookie:
            reason = monitor.why_gone(self.cookie)
        if reason is None:
            self._explain_arrival()
        else:
            self._refuse(reason)

    def _explain_arrival(self) -> None:
        """Say why to a tab that was sent here after another one's request lost the cookie already."""
        request, reason = self.request, self.request.GET.get("session_ended")
        if reason in MESSAGES and request.method == "GET" and answers.is_login_page(request):
            messages.warning(request, message_for(EndReason(reason)), fail_silently=True)

    def _follow(self, response: HttpResponseBase) -> HttpResponseBase:
        session = self.request.session
        sid = session.get(engine.SID_KEY)
        if self.sid is not None and sid != self.sid:
            if not self._came_too_late(self.sid):
                monitor.end(self.sid, self._why_left())
        elif sid is not None and (
            session.modified or settings.SESSION_SAVE_EVERY_REQUEST or self._has_messages
        ):
            return self._follow_save(sid, response)
        return response

    def _why_left(self) -> EndReason:
        """Tell a session that was left from one that Django emptied, as its user has another password."""
        user = getattr(self.request, "_cached_user", None)
        is_refused = user is not None and not user.is_authenticated
        return EndReason.REVOKED if is_refused else EndReason.LOGOUT

    def _follow_save(self, sid: str, response: HttpResponseBase) -> HttpResponseBase:
        session = self.request.session
        is_written = session.modified or self._has_messages
        look = None if is_written else looks.recall(self.cookie)
        if look is not None:
            # Only its expiry is new; an end would have dropped the look.
            self._note_save(look.record, look.now)
            return response
        # Django is about to save. A session that ended meanwhile must neither be revived by that, nor answer
        # the bare 400 that Django gives when the row is gone.
        found = monitor.admit(sid, counts=False)
        if found.ended is not None or found.record is None:
            self._refuse(found.ended or EndReason.UNKNOWN)
            ended: SessionEnded = self.request.session_ended  # type: ignore[attr-defined]
            return answers.login_needed(self.request, ended, found.now)
        self._note_save(found.record, found.now)
        return response

    def _note_save(self, record: Record, now: float) -> None:
        if monitor.note_save(record, now, self.request.session):
            looks.forget([record.sid])
        engine.spare_ended(self.request.session, lambda: monitor.has_ended(record.sid))

    def _came_too_late(self, sid: str) -> bool:
        """Say whether the view had a session without us since its key was cycled by another request.

        Only where nobody looked into the session before the view did; else it was the view that left it.
        """
        if not self.was_known:
            return False
        record = monitor.look(sid)[1]
        key = "" if record is None else record.session_key
        return not self.request.session.modified or key not in ("", self.cookie)


def try_again_later() -> HttpResponse:
    """Return a 503, for where the store does not answer."""
    return HttpResponse(
        _("The service is not available just now. Please try again."),
        status=503,
        headers={"Retry-After": str(RETRY_AFTER)},
    )
