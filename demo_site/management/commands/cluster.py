import importlib.util
import signal
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError

from demo_site.cluster import Cluster, ClusterError, Part, find_program

from . import serve

NEEDED = ["channels_redis", "redis", "uvicorn", "websockets"]
CONFIGURATION = Path(__file__).parents[2] / "nginx.conf"
APPLICATION = "demo_site.asgi:application"
ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
"""What ends it: Ctrl-C, which a shell script's background job would ignore, a service manager, or the
terminal that is closed."""


class Command(serve.Command):
    help = "As serve, but on Redis, under daphne and uvicorn side by side, with nginx in front."

    def run(self) -> None:
        if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
            raise CommandError(f"{', '.join(missing)} not installed: `make demo-cluster` does it.")
        for number in ENDING:
            signal.signal(number, signal.default_int_handler)
        cluster = Cluster()
        # In a short path, as those of sockets must be.
        with tempfile.TemporaryDirectory(prefix="demo-") as folder:
            try:
                cluster.start(*parts(Path(folder)))
                self.announce()
                cluster.watch()
            except KeyboardInterrupt:
                self.stdout.write("Ending.")
            except ClusterError as error:
                raise CommandError(str(error)) from error
            finally:
                for number in ENDING:
                    signal.signal(number, signal.SIG_IGN)
                cluster.stop()


def parts(folder: Path) -> list[Part]:
    """Return the programs, each after those that it needs to the last."""
    redis, daphne, uvicorn = (
        str(folder / f"{name}.sock") for name in ("redis", "daphne", "uvicorn")
    )
    python = [sys.executable, "-m"]
    redis_command = [find_program("redis-server"), "--port", "0", "--unixsocket", redis]
    in_memory = ["--dir", str(folder), "--save", ""]
    under_daphne = [*python, "daphne", "-v", "0", "-u", daphne, APPLICATION]
    under_uvicorn = [*python, "uvicorn", "--log-level", "warning", "--uds", uvicorn, APPLICATION]
    shared = {"DEMO_REDIS": f"unix://{redis}"}
    return [
        Part("redis", [*redis_command, *in_memory], redis, is_quiet=True),
        Part("daphne", under_daphne, daphne, {**shared, "DEMO_SERVER": "daphne"}),
        Part("uvicorn", under_uvicorn, uvicorn, {**shared, "DEMO_SERVER": "uvicorn"}),
        nginx(folder),
    ]


def nginx(folder: Path) -> Part:
    host, port = settings.HOST, settings.PORT
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.read_text().format(folder=folder, address=address))
    command = [find_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    return Part("nginx", command, (host, port))
