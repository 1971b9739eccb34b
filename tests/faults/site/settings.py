"""The tests' project as many processes run it: on the databases, layer and store that a test says."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

if "TESTS_DATABASES" in os.environ:
    DATABASES |= json.loads(os.environ["TESTS_DATABASES"])
INSTALLED_APPS += ["tests.faults.site"]
ROOT_URLCONF = "tests.faults.site.urls"
SESSION_ENGINE = "tests.faults.site.engine"
CHANNEL_LAYERS = {
    "default": json.loads(
        os.environ.get("TESTS_LAYER", '{"BACKEND": "channels.layers.InMemoryChannelLayer"}')
    )
}
