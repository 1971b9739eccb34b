import os

SECRET_KEY = "django-realtime-session-bench"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "realtime_session",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "realtime_session.middleware.SessionMonitorMiddleware",
]
# Connections are kept, which Channels' database hops gain from; ours keep theirs in any case.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("BENCH_DATABASE", ":memory:"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }
}
CHANNEL_LAYERS: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
if "BENCH_REDIS" in os.environ:
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [os.environ["BENCH_REDIS"]]},
    }
    REALTIME_SESSION = {
        "STORE": {
            "BACKEND": "realtime_session.stores.redis.RedisStore",
            "OPTIONS": {"url": os.environ["BENCH_REDIS"]},
        }
    }
ROOT_URLCONF = "bench.project.urls"
USE_TZ = True
