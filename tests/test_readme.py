"""The README is followed to the letter, in a project of its own; its lists are compared with the code."""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core.management import call_command
from playwright.async_api import BrowserContext, async_playwright, expect

import realtime_session
from docs.generate import README, ROOT
from realtime_session import monitor
from realtime_session.policy import PRESETS, Policy
from tests.servers import CREATE_USERS, Browser, free_port, hear, wait_for
from tests.system import find_chromium

TEXT = README.read_text(encoding="utf-8")
TEMPLATES = Path(__file__).parent / "project/templates"

# What the reader's project has of its own before the app comes in.
OWN_SETTINGS = """
TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]
STATICFILES_DIRS = [BASE_DIR / "static"]
LOGIN_URL = "login"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
OWN_URLS = """
from django.contrib.auth.views import LoginView, LogoutView
from django.views.generic import TemplateView

urlpatterns += [
    path("", TemplateView.as_view(template_name="base.html")),
    path("own/", TemplateView.as_view(template_name="own.html")),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view()),
]
"""
PAGE = "<!doctype html>\n<html lang=en>\n<title>Page</title>\n<body>\n<h1>Page</h1>\n{}</body>\n</html>\n"
PATIENCE = 15_000
# In one process, as each takes a second to start.
COMMANDS = """
from django.core.management import call_command
call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
"""
# No reader waits for a quarter of an hour.
IN_A_HURRY = 'REALTIME_SESSION |= {"IDLE_TIMEOUT": 30, "WARN_BEFORE": 22}\n'


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(f"```{re.escape(language)}\n(.*?)```", section(title), re.DOTALL)


def first_column(table: str) -> list[str]:
    """Return the first cells of a table's rows; code in them without its backticks."""
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return [row.split(" | ")[0].strip("| `") for row in rows[2:]]


def steps() -> dict[str, str]:
    """Return the code of each installation step by what it changes."""
    pattern = r"\*\*\d\. (.+?)\*\*.*?```\S+\n(.*?)```"
    return dict(re.findall(pattern, section("Install it"), re.DOTALL))


def commands() -> list[str]:
    last = blocks("Install it", "console")[-1]
    return re.findall(r"^python manage\.py (\w+)", last, re.MULTILINE)


def edited(source: str, code: str) -> str:
    """Return a module as its reader edits it: ``...`` in a list stands for what is in it already."""
    for statement in ast.parse(code).body:
        text = ast.get_source_segment(code, statement)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            source = f"{text}\n{source}"
        elif "...," in text:
            [name] = statement.targets
            source += f"\n{text.replace('...', f'*{name.id}', 1)}\n"
        else:
            source += f"\n{text}\n"
    return source


class Site:
    """A project as ``startproject`` makes it, with two pages and a login, that followed the README."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "server.log"
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.environment = {
            name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
        }

    def run(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def make(self) -> None:
        call_command("startproject", "mysite", self.directory)
        self.edit("mysite/settings.py", lambda text: text + OWN_SETTINGS)
        self.edit("mysite/urls.py", lambda text: text + OWN_URLS)
        for path in ("templates", "static"):
            (self.directory / path).mkdir()
        login = (TEMPLATES / "login.html").read_text()
        (self.directory / "templates/login.html").write_text(login)
        (self.directory / "templates/base.html").write_text(PAGE.format(""))

    def install(self) -> None:
        settings, asgi, urls, template = steps().values()
        self.edit("mysite/settings.py", lambda text: edited(text, settings))
        (self.directory / "mysite/asgi.py").write_text(asgi)
        self.edit("mysite/urls.py", lambda text: edited(text, urls))
        self.edit("templates/base.html", lambda text: text.replace("</body>", template + "</body>"))

    def bring_own_front_end(self) -> None:
        [template] = blocks("Your own front end", "html+django")
        [script] = blocks("Your own front end", "js")
        (self.directory / "templates/own.html").write_text(PAGE.format(template))
        (self.directory / re.match("// (.+)", script)[1]).write_text(script)

    def edit(self, name: str, change: Any) -> None:
        path = self.directory / name
        path.write_text(change(path.read_text()))

    def serve(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", "runserver", "--noreload", self.host],
                cwd=self.directory,
                env=self.environment,
                stdout=log,
                stderr=log,
            )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert commands() == ["check", "migrate", "runserver"]
    site = Site(tmp_path_factory.mktemp("mysite"))
    site.make()
    site.install()
    site.run("manage.py", "shell", "-v0", "-c", COMMANDS + CREATE_USERS)
    site.bring_own_front_end()
    site.edit("mysite/settings.py", lambda text: text + IN_A_HURRY)
    with site.serve() as server:
        try:
            wait_for(server, site.port, site.log)
            yield site
        finally:
            server.terminate()


async def test_a_project_that_followed_the_readme_tells_its_tabs_the_state(site: Site) -> None:
    browser = Browser(site)
    with browser.http:
        browser.sign_in()
        async with browser.tab() as tab:
            assert (await hear(tab))["type"] == "state"
        assert browser.http.get("/").headers["server"] == "daphne"
        assert browser.http.get("/session/state/").json()["type"] == "state"


async def test_dialog_and_own_front_end_of_the_readme_run_in_a_browser(site: Site) -> None:
    person = Browser(site)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"]
        )
        context = await chromium.new_context(base_url=site.url)
        with person.http:
            await context.add_cookies(
                [
                    {"name": name, "value": value, "url": site.url}
                    for name, value in person.sign_in().http.cookies.items()
                ]
            )
            await follow(context, person)
        await chromium.close()


async def follow(context: BrowserContext, person: Browser) -> None:
    dialogs_page, page = await context.new_page(), await context.new_page()
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))
    await dialogs_page.goto("/")
    await page.goto("/own/")
    bar, stay = page.locator("#session-bar"), page.get_by_role("button", name="Stay signed in")
    dialog = dialogs_page.locator("#realtime-session")
    await expect(bar).to_be_hidden()
    await expect(bar).to_be_visible(timeout=PATIENCE)
    await expect(bar).to_contain_text(re.compile(r"Still there\?\s+\d\d? seconds left"))
    await expect(dialog).to_be_visible(timeout=PATIENCE)
    await stay.click()
    await expect(bar).to_be_hidden(timeout=PATIENCE)
    await expect(dialog).to_be_hidden(timeout=PATIENCE)
    await has_what_the_readme_names(page)
    assert person.post("/logout/").status_code < 400
    await page.wait_for_url("**/login/?next=%2Fown%2F&session_ended=logout")
    await dialogs_page.wait_for_url("**/login/?next=%2F&session_ended=logout")
    assert errors == []


async def has_what_the_readme_names(page: Any) -> None:
    members = await page.evaluate(
        """async () => {
          const config = JSON.parse(document.getElementById("realtime-session-config").textContent);
          const { SessionClient } = await import(config.client);
          return Object.getOwnPropertyNames(SessionClient.prototype);
        }"""
    )
    named = re.search(
        r"The client has the methods (.+?)\.\s`", section("Your own front end"), re.DOTALL
    )
    names = re.findall(r"`(\w+)(?:\(\))?`", named[1])
    assert sorted(names) == sorted(set(members) - {"constructor"})


def test_example_of_a_policy_gives_policies() -> None:
    [code] = blocks("Settings", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    staff, other = (
        SimpleNamespace(user=SimpleNamespace(is_staff=is_it)) for is_it in (True, False)
    )
    assert names["policy"](staff) is PRESETS["nist_aal3"]
    assert isinstance(names["policy"](other), Policy)


def test_functions_are_those_of_the_python_api() -> None:
    listed = re.findall(
        r"^\| `(\w+)\((.*?)\)` \|", section("When a session has ended"), re.MULTILINE
    )
    assert len(listed) == 5
    for name, arguments in listed:
        signature = inspect.signature(getattr(monitor, name))
        assert [part.partition("=")[0] for part in arguments.split(", ")] == list(
            signature.parameters
        )
        assert iscoroutinefunction(getattr(monitor, f"a{name}"))


def test_layout_names_every_module_and_no_other() -> None:
    package = Path(realtime_session.__file__).parent
    modules = {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        for path in package.rglob("*.py")
        if path.read_text() and path.parent.name != "migrations"
    }
    cells = first_column(section("Layout").partition("<!-- layout: end -->")[0])
    named = [name for cell in cells for name in re.split("`, `", cell)]
    assert len(named) == len(set(named))
    assert set(named) == modules - {"__init__"} | {"migrations"}


def anchor_of(title: str) -> str:
    """What the title of a section is called in a link, on the sites that show Markdown."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize(
    "path",
    [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)]*)\)", path.read_text(encoding="utf-8"))
    for link in links:
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), link
        if anchor:
            titles = re.findall("^#+ (.+)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(anchor_of, titles)


def test_make_knows_the_targets() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", TEXT, re.MULTILINE))
    assert {"demo", "demo-cluster", "test", "docs"} <= named <= set(targets)
