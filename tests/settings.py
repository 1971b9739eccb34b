"""The project that the tests run: one process on SQLite, in a file, as most projects begin."""

import json
import os
import tempfile
from pathlib import Path

# Servers that a test starts get the same folder, and with it the same database, by the environment.
SCRATCH = Path(
    os.environ.get("TESTS_SCRATCH")
    or Path(tempfile.gettempdir()) / f"realtime-session-tests-{os.getpid()}"
)
SCRATCH.mkdir(exist_ok=True)

SECRET_KEY = os.environ.get("TESTS_SECRET_KEY", "only-for-tests")
SECRET_KEY_FALLBACKS = os.environ.get("TESTS_SECRET_KEY_FALLBACKS", "").split()
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": SCRATCH / "db.sqlite3",
        # Threads share a file, as in production; the default, in memory, locks otherwise.
        "TEST": {"NAME": SCRATCH / "test.sqlite3"},
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
}
INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "realtime_session",
    "tests.project",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tests.project.middleware.DeviceSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "realtime_session.middleware.SessionMonitorMiddleware",
]
ROOT_URLCONF = "tests.project.urls"
ASGI_APPLICATION = "tests.project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
STATIC_URL = "/static/"
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "shared": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": SCRATCH / "cache",
    },
}
SESSION_ENGINE = os.environ.get("TESTS_SESSION_ENGINE", "django.contrib.sessions.backends.db")
SESSION_CACHE_ALIAS = "shared"
SESSION_FILE_PATH = SCRATCH
SESSION_COOKIE_AGE = int(os.environ.get("TESTS_SESSION_COOKIE_AGE", 14 * 24 * 3600))
SESSION_SAVE_EVERY_REQUEST = "TESTS_SESSION_SAVE_EVERY_REQUEST" in os.environ
SESSION_EXPIRE_AT_BROWSER_CLOSE = "TESTS_SESSION_EXPIRE_AT_BROWSER_CLOSE" in os.environ
if "TESTS_LOG" in os.environ:
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "tests.project.logs.JSONFormatter"}},
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "filename": os.environ["TESTS_LOG"],
                "formatter": "json",
            }
        },
        "root": {"handlers": ["file"], "level": "DEBUG"},
    }
REALTIME_SESSION: dict[str, object] = json.loads(os.environ.get("TESTS_REALTIME_SESSION", "{}"))
if "TESTS_MORE_SETTINGS" in os.environ:
    # What a page of the documentation says to add.
    exec(Path(os.environ["TESTS_MORE_SETTINGS"]).read_text())
