"""System checks: what would make sessions outlive their end, or end too early, is said at start-up."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.module_loading import import_string
from django.utils.translation import override

from . import conf, presenter
from .models import MonitoredSession

MIDDLEWARE = "realtime_session.middleware.SessionMonitorMiddleware"
MEMORY_STORE = "realtime_session.stores.memory.MemoryStore"
MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
ORM_STORE = "realtime_session.stores.orm.ORMStore"
OLDEST_SQLITE = (3, 35)
"""Which brought RETURNING; Django before 6.1 runs on older ones."""
_NEEDED_APPS = ("django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions")
_NEEDED_BEFORE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_IF_USED_BEFORE = ("django.contrib.messages.middleware.MessageMiddleware",)
SHORTEST_WARNING = 20
"""WCAG 2.2, success criterion 2.2.1: at least 20 seconds to extend a time limit by a simple action."""


@register(Tags.security)
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E001 to E004, W001, W002: ``REALTIME_SESSION`` itself."""
    found: list[CheckMessage] = [
        Error(problem.message, hint=problem.hint, id=f"realtime_session.{problem.check_id}")
        for problem in conf.problems()
    ]
    return found or list(_check_durations(conf.current()))


def _check_durations(current: conf.Settings) -> Iterator[CheckMessage]:
    if callable(current.policy):
        # Each session has a policy of its own, which nobody knows before its login.
        return
    policy = current.default_policy
    if policy.warn_before < SHORTEST_WARNING:
        yield Warning(
            f"{conf.SETTING}['WARN_BEFORE'] is under {SHORTEST_WARNING} seconds.",
            hint="WCAG 2.2.1 asks that people have at least 20 seconds to choose to stay.",
            id="realtime_session.W001",
        )
    if policy.idle_timeout > settings.SESSION_COOKIE_AGE:
        yield Warning(
            f"SESSION_COOKIE_AGE is shorter than {conf.SETTING}['IDLE_TIMEOUT']: "
            "Django's own session would lapse first.",
            hint="Raise SESSION_COOKIE_AGE to at least IDLE_TIMEOUT.",
            id="realtime_session.W002",
        )


@register(Tags.security)
def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """E005 and E006: without the middleware, or with it too early, nothing is enforced over HTTP."""
    installed = list(settings.MIDDLEWARE)
    ours = next((name for name in installed if _is_a(name, MIDDLEWARE)), None)
    if ours is None:
        return [
            Error(
                f"{MIDDLEWARE} is not in MIDDLEWARE.",
                hint="Add it after the authentication and messages middleware.",
                id="realtime_session.E005",
            )
        ]
    position = installed.index(ours)
    return [
        Error(
            f"{ours} must come after {needed}.",
            hint="Move it down in MIDDLEWARE, below the authentication and messages middleware.",
            id="realtime_session.E006",
        )
        for needed in (*_NEEDED_BEFORE, *_IF_USED_BEFORE)
        if not _stands_in(installed[:position], needed)
        and (needed in _NEEDED_BEFORE or _stands_in(installed, needed))
    ]


def _stands_in(names: list[str], wanted: str) -> bool:
    return any(_is_a(name, wanted) for name in names)


def _is_a(name: str, wanted: str) -> bool:
    """Say whether a middleware is the wanted one or, as projects do, a subclass of it."""
    if name == wanted:
        return True
    found = import_string(name)
    return isinstance(found, type) and issubclass(found, import_string(wanted))


@register(Tags.compatibility)
def check_surroundings(**kwargs: Any) -> list[CheckMessage]:
    """E007 and W003: what the package builds on."""
    found: list[CheckMessage] = [
        Error(
            f"{name} is not installed, and realtime_session needs it.",
            hint=f'Add "{name}" to INSTALLED_APPS.',
            id="realtime_session.E007",
        )
        for name in _NEEDED_APPS
        if not apps.is_installed(name)
    ]
    if not getattr(settings, "ASGI_APPLICATION", None) and _wants_sockets():
        found.append(
            Warning(
                "ASGI_APPLICATION is not set, so nothing serves the WebSocket.",
                hint='Set it to your "project.asgi.application", or set '
                f"{conf.SETTING}['WEBSOCKET_URL'] to None to do without sockets.",
                id="realtime_session.W003",
            )
        )
    return found


@register(Tags.security)
def check_cookie_path(**kwargs: Any) -> list[CheckMessage]:
    """W004: a socket that does not get the session cookie is nobody's."""
    if not _wants_sockets():
        return []
    path = urlsplit(conf.current().websocket_url or "").path
    if path.startswith(settings.SESSION_COOKIE_PATH):
        return []
    return [
        Warning(
            f"SESSION_COOKIE_PATH does not cover {conf.SETTING}['WEBSOCKET_URL'].",
            hint="Browsers would not send the session cookie there: mount the socket below that path.",
            id="realtime_session.W004",
        )
    ]


@register(Tags.compatibility)
def check_database(**kwargs: Any) -> list[CheckMessage]:
    """E008: the ORM store on a SQLite that cannot tell what an UPDATE wrote."""
    if conf.problems() or not _is_a(conf.current().store.backend, ORM_STORE):
        return []
    alias = conf.current().store.options.get("using") or router.db_for_write(MonitoredSession)
    connection = connections[alias]
    if connection.vendor != "sqlite" or connection.get_database_version() >= OLDEST_SQLITE:
        return []
    return [
        Error(
            "The ORM store needs SQLite {}.{} or newer.".format(*OLDEST_SQLITE),
            hint="Use a newer SQLite, or another database, or another store in "
            f"{conf.SETTING}['STORE'].",
            id="realtime_session.E008",
        )
    ]


@register(Tags.urls)
def check_login_url(**kwargs: Any) -> list[CheckMessage]:
    """W005: people are led to ``LOGIN_URL`` when their session has ended."""
    if not getattr(settings, "ROOT_URLCONF", None) or _leads_somewhere(presenter.login_url()):
        return []
    return [
        Warning(
            f"LOGIN_URL, {str(settings.LOGIN_URL)!r}, is neither the name nor the path of a URL of this "
            "project. People are led there when their session has ended.",
            hint='Set it to where they sign in, such as "admin:login" where that is the admin. '
            "Silence this check if something other than Django answers there.",
            id="realtime_session.W005",
        )
    ]


def _leads_somewhere(url: str | None) -> bool:
    """Say whether a URL is one of this project's, or can be none of them."""
    if url is None:
        return False
    parts, prefix = urlsplit(url), get_script_prefix()
    if parts.netloc or not parts.path.startswith(prefix):
        return True
    path = parts.path.removeprefix(prefix)
    # CommonMiddleware may add the slash, and LocaleMiddleware the language.
    languages = [code for code, _ in settings.LANGUAGES] if settings.USE_I18N else []
    paths = [f"/{path}", f"/{path}/", *(f"/{code}/{path}" for code in languages)]
    return any(_resolves(path, language) for language in [None, *languages] for path in paths)


def _resolves(path: str, language: str | None) -> bool:
    try:
        with override(language) if language else nullcontext():
            resolve(path)
    except Resolver404:
        return False
    return True


@register(Tags.security, deploy=True)
def check_processes(**kwargs: Any) -> list[CheckMessage]:
    """W006 and W007: what is right for one process only. Nobody can tell here how many there will be."""
    if conf.problems():
        return []
    found: list[CheckMessage] = []
    current = conf.current()
    if _is_a(current.store.backend, MEMORY_STORE):
        found.append(
            Warning(
                "Sessions are kept in the memory of one process: another one takes them for ended, and a "
                "restart ends them all.",
                hint=f"Set {conf.SETTING}['STORE'] to the ORM store or, for many processes, to Redis.",
                id="realtime_session.W006",
            )
        )
    layers = getattr(settings, "CHANNEL_LAYERS", {})
    backend = layers.get(current.channel_layer, {}).get("BACKEND", MEMORY_LAYER)
    if _wants_sockets() and _is_a(backend, MEMORY_LAYER):
        found.append(
            Warning(
                f"CHANNEL_LAYERS[{current.channel_layer!r}] connects no processes: it is in memory or not "
                "there. That is fine for one process; tabs in another one hear late of an end.",
                hint="With several processes, use a layer of channels_redis. With one, silence this check.",
                id="realtime_session.W007",
            )
        )
    return found


def _wants_sockets() -> bool:
    return not conf.problems() and conf.current().websocket_url is not None
