"""Takes the picture of the dialog, from the demo in a real browser: ``python -m docs.screenshot``."""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.demo import demo
from tests.system import find_chromium

PICTURE = Path(__file__).parent / "dialog.png"
POLICY = {"DEMO_IDLE_TIMEOUT": "62", "DEMO_WARN_BEFORE": "60"}
LEFT = "0:46"
ANSWER = (
    "I half agree. Time is the one thing that everybody is given alike, and that nobody can save "
    "up for later. Yet what looks like waste from outside is often how we arrive at a thought worth "
    "having: on a long walk, in a slow conversation, in front of a"
)


def take(page: Page, url: str) -> None:
    """Sign in, begin an answer in the exam, stop writing, and wait until part of the warning is over."""
    page.goto(f"{url}/login/?next=/exam/")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("textbox").fill(ANSWER)
    page.get_by_role("button", name="Stay signed in").wait_for()
    page.get_by_role("timer").get_by_text(LEFT).wait_for()
    page.screenshot(path=PICTURE)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        demo(Path(directory), **POLICY) as client,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 860, "height": 520}, device_scale_factor=2)
        take(page, str(client.base_url).rstrip("/"))
        browser.close()


if __name__ == "__main__":
    main()
