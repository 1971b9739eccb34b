"""A real nginx in a folder of its own, with the `http` block that a test gives it."""

import subprocess
from pathlib import Path
from typing import Any

from tests.databases import program
from tests.servers import wait_for

# In the foreground, as whoever runs the tests, and in no folder of the system's.
MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""


class Nginx:
    def __init__(self, folder: Path, http: str, port: int) -> None:
        self.log = folder / "error.log"
        folder.mkdir()
        configuration = folder / "nginx.conf"
        configuration.write_text(MAIN.format(folder=folder, http=http))
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            [program("nginx"), "-e", self.log, "-p", folder, "-c", configuration],
            stdin=subprocess.DEVNULL,
        )
        wait_for(self._process, port, self.log)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
