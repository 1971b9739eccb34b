"""The suite on every Python and Django that the package supports: ``make matrix``.

nox takes pyenv's newest of each Python, or the one that ``PYENV_VERSION`` names, else the one on ``PATH``; it
passes over those that are nowhere. By itself it leaves out the browser and most servers (``SLOW``); what
follows ``--`` is given to pytest, ``tests`` for all.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = {"3.11": ["5.2"], "3.12": ["5.2", "6.0", "6.1"], "3.13": ["5.2", "6.0", "6.1"]}
SLOW = [
    "browser",
    "coexistence",
    "each_engine",
    "faults",
    "test_closing.py",
    "test_databases.py",
    "test_demo.py",
    "test_demo_cluster.py",
    "test_drain.py",
    "test_engines.py",
    "test_packaging.py",
    "test_readme.py",
    "test_servers.py",
    "topologies",
]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False


def put_pyenv_on_path() -> None:
    """pyenv's own commands on ``PATH`` refuse a version that it was not told to use."""
    pyenv = shutil.which("pyenv")
    if pyenv is None or "PYENV_VERSION" in os.environ:
        return
    for python in PYTHONS:
        newest = subprocess.run([pyenv, "prefix", python], capture_output=True, text=True)
        if newest.returncode == 0:
            folder = Path(newest.stdout.strip()) / "bin"
            os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])


put_pyenv_on_path()


@nox.session
@nox.parametrize(
    ("python", "django"),
    [(python, django) for python, djangos in PYTHONS.items() for django in djangos],
)
def tests(session: nox.Session, django: str) -> None:
    """Run the tests on one Python and one Django."""
    group = nox.project.dependency_groups(nox.project.load_toml(), "test")
    session.install("--editable", ".", f"Django~={django}.0", *group)
    session.run("python", "-c", "import django; print('Django', django.__version__)")
    quick = [f"--ignore=tests/{name}" for name in SLOW]
    session.run("pytest", "--quiet", *(session.posargs or quick))
