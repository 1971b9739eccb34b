import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

from tests.project import clock
from tests.project.process import TellsProcess

if "TESTS_CLOCK" in os.environ:
    clock.install()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
http = get_asgi_application()

from realtime_session.routing import websocket_urlpatterns  # noqa: E402  # needs the apps loaded

sockets = TellsProcess(URLRouter([*websocket_urlpatterns]))
application = ProtocolTypeRouter({"http": http, "websocket": sockets})
