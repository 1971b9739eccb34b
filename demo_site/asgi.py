import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_site.settings")
django_application = get_asgi_application()

# Needs the apps, which are ready only now.
from demo_site.process import TellsProcess  # noqa: E402
from realtime_session.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": ASGIStaticFilesHandler(django_application),
        "websocket": TellsProcess(URLRouter([*websocket_urlpatterns])),
    }
)
