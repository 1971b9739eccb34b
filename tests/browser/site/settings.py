"""The tests' project as strict as a browser can be told to be, and its static files as in production."""

import os
from pathlib import Path

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, MIDDLEWARE, SCRATCH, TEMPLATES

MIDDLEWARE = ["tests.browser.site.views.content_security_policy", *MIDDLEWARE]
TEMPLATES[0]["DIRS"] = [Path(__file__).parent / "templates"]
DATABASES["default"]["OPTIONS"]["timeout"] = float(os.environ.get("SITE_DATABASE_TIMEOUT", "20"))
ROOT_URLCONF = "tests.browser.site.views"
LOGIN_URL = os.environ.get("SITE_LOGIN_URL", "login")
LOGIN_REDIRECT_URL = "page"
LOGOUT_REDIRECT_URL = "goodbye"
SESSION_COOKIE_AGE = int(os.environ.get("SITE_SESSION_COOKIE_AGE", "1209600"))
STATIC_ROOT = SCRATCH / "static"
STORAGES = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
}
