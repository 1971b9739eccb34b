from pathlib import Path

from . import environment

HOST = environment.text("HOST", "127.0.0.1")
PORT = environment.port("PORT", 8000)

# Anyone may know it, like the passwords: nothing here is secret.
SECRET_KEY = "django-realtime-session-demo"
ALLOWED_HOSTS = [HOST, "localhost", "127.0.0.1", "[::1]"]
if HOST in ("0.0.0.0", "::"):  # noqa: S104
    ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "daphne",
    "demo_site",
    "realtime_session",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo_site.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "realtime_session.middleware.SessionMonitorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

_idle_timeout = environment.seconds("DEMO_IDLE_TIMEOUT", 90)
_absolute_timeout = environment.seconds("DEMO_ABSOLUTE_TIMEOUT", None)
REALTIME_SESSION = {
    "IDLE_TIMEOUT": _idle_timeout,
    "WARN_BEFORE": environment.seconds(
        "DEMO_WARN_BEFORE", min(45, _idle_timeout / 2, (_absolute_timeout or _idle_timeout) / 2)
    ),
    "ABSOLUTE_TIMEOUT": _absolute_timeout,
    "TAB_CLOSE_GRACE": environment.seconds("DEMO_TAB_CLOSE_GRACE", None),
}

DATABASE = Path(environment.text("DEMO_DATABASE", str(Path(__file__).parent / "var/demo.sqlite3")))
DATABASE = DATABASE.expanduser().resolve()
DATABASE.parent.mkdir(parents=True, exist_ok=True)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_session_engine = environment.choice(
    "DEMO_SESSION_ENGINE", ["db", "cache", "cached_db", "file", "signed_cookies"], "db"
)
SESSION_ENGINE = f"django.contrib.sessions.backends.{_session_engine}"
SESSION_FILE_PATH = DATABASE.with_suffix(".sessions")
SESSION_FILE_PATH.mkdir(mode=0o700, exist_ok=True)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": DATABASE.with_suffix(".cache"),
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Set by the command `cluster`.
_redis = environment.text("DEMO_REDIS", "")
if _redis:
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [_redis]},
    }
    REALTIME_SESSION["STORE"] = {
        "BACKEND": "realtime_session.stores.redis.RedisStore",
        "OPTIONS": {"url": _redis},
    }

ASGI_APPLICATION = "demo_site.asgi.application"
ROOT_URLCONF = "demo_site.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "demo_site.views.policy",
            ],
        },
    }
]
TIME_ZONE = "UTC"
USE_TZ = True
