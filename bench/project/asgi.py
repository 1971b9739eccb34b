"""``ours`` and ``stock``: the same project, with one of the two consumers behind its sockets."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")
http = get_asgi_application()

# Need the apps, which are ready only now.
from bench.stock import websocket_urlpatterns as stock_urlpatterns  # noqa: E402
from realtime_session.routing import websocket_urlpatterns  # noqa: E402

ours = ProtocolTypeRouter({"http": http, "websocket": URLRouter([*websocket_urlpatterns])})
stock = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(stock_urlpatterns))),
    }
)
