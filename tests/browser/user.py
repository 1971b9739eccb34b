"""What a person does with the site, and sees of it."""

import asyncio
import re
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import BrowserContext, Locator, Page, expect

TIMEOUT = 15
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  violations.push(`${violatedDirective} ${blockedURI}`);
});
window.events = [];
window.until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
};
window.watch = async (client) => {
  for (const type of ["state", "warning", "extended", "expired", "error", "connection", "uncertain"]) {
    client.addEventListener(type, ({ detail }) => events.push({ type, ...detail, kind: type }));
  }
  return client;
};
window.clientOfDialog = async () => {
  const script = document.querySelector("script[type=module]");
  window.client ??= await watch(await (await import(script.src)).ready);
};
window.clientOfOwn = async () => {
  const config = JSON.parse(document.getElementById("realtime-session-config").textContent);
  const { SessionClient, readConfig } = await import(config.client);
  window.client = await watch(new SessionClient(readConfig()));
  client.start();
};
"""


class Tab:
    """One tab with the shipped dialog."""

    def __init__(self, page: Page, path: str) -> None:
        self.page = page
        self.path = path
        self.dialog: Locator = page.locator("#realtime-session")
        self.clock = page.locator("#realtime-session-clock")
        self.stay = page.get_by_role("button", name="Stay signed in")
        self.sign_out = page.get_by_role("button", name="Sign out")
        self.requests: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))

    def count(self, path: str) -> int:
        """How many requests went to a path."""
        return sum(urlsplit(url).path == path for url in self.requests)

    async def is_connected(self) -> None:
        await self.page.evaluate("clientOfDialog()")
        await self.until("client.connected")

    async def until(self, condition: str) -> None:
        """Playwright's own way to wait for a condition is `eval`, which the site's policy forbids."""
        async with asyncio.timeout(TIMEOUT):
            await self.page.evaluate(f"until(() => {condition})")

    async def is_warned(self) -> None:
        await expect(self.dialog).to_be_visible()
        assert await self.view() == "warning"

    async def is_undisturbed(self) -> None:
        await expect(self.dialog).to_be_hidden()

    async def view(self) -> str | None:
        """What the dialog shows; None while it is closed."""
        return await self.dialog.evaluate("dialog => dialog.open ? dialog.dataset.view : null")

    async def is_told_at_login(self, reason: str, message: str | None = None) -> None:
        """The tab went to the login page, which says why, and would come back from it."""
        await self.page.wait_for_url(re.compile("/login/"))
        query = parse_qs(urlsplit(self.page.url).query)
        assert query["session_ended"] == [reason]
        assert query["next"] == [self.path]
        if message:
            await expect(self.page.get_by_role("listitem")).to_have_text(message)

    async def events(self, kind: str) -> list[dict[str, object]]:
        return [e for e in await self.page.evaluate("events") if e["kind"] == kind]


class User:
    """One browser profile, so one session."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context

    async def sign_in(self, name: str) -> None:
        await self.context.add_init_script(WATCH)
        await self.context.request.get("/login/")
        cookies = {cookie["name"]: cookie["value"] for cookie in await self.context.cookies()}
        form = {"username": name, "password": name, "csrfmiddlewaretoken": cookies["csrftoken"]}
        answer = await self.context.request.post("/login/", form=form, max_redirects=0)
        assert answer.status == 302

    async def open(self, path: str = "/page/") -> Tab:
        """Opens a tab with the dialog, and waits for its socket."""
        page = await self.context.new_page()
        tab = Tab(page, path)
        await page.goto(path)
        await tab.is_connected()
        return tab


async def sign_in_to_demo(page: Page, name: str) -> None:
    """The demo's accounts have their names for passwords."""
    await page.goto("/login/")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(name)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("/")
