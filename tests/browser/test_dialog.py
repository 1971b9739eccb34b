"""What people see in their tabs, with the shipped dialog, from the warning to the login page."""

import asyncio
from collections.abc import Awaitable

import pytest
from playwright.async_api import expect

from .conftest import LONG, SHORT, Serve, SignIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDLE = "Your session has ended because there was no activity for a while."
LOGGED_OUT = "You have been signed out."


async def each(*steps: Awaitable[None]) -> None:
    await asyncio.gather(*steps)


async def test_all_tabs_are_warned_extended_by_one_and_expire_together(
    serve: Serve, sign_in: SignIn
) -> None:
    user = await sign_in(serve())
    tabs = [await user.open(f"/page/?tab={number}") for number in range(3)]

    await each(*(tab.is_warned() for tab in tabs))
    await tabs[1].page.bring_to_front()
    await tabs[1].stay.click()
    await each(*(tab.is_undisturbed() for tab in tabs))

    await each(*(tab.is_warned() for tab in tabs))
    await each(*(tab.is_told_at_login("idle", IDLE) for tab in tabs))


async def test_signing_in_again_leads_back_to_the_page(serve: Serve, sign_in: SignIn) -> None:
    user = await sign_in(serve())
    tab = await user.open("/page/?chapter=3&title=a%26b")
    await tab.is_told_at_login("idle")
    await tab.page.get_by_label("Username").fill("anna")
    await tab.page.get_by_label("Password").fill("anna")
    await tab.page.get_by_role("button").click()
    await tab.page.wait_for_url("**/page/?chapter=3&title=a%26b")


async def test_signing_out_is_seen_in_all_tabs_and_ends_in_the_projects_own_page(
    serve: Serve, sign_in: SignIn
) -> None:
    user = await sign_in(serve())
    here, *others = [await user.open() for _ in range(3)]
    await here.is_warned()
    await here.page.bring_to_front()
    await here.sign_out.click()
    await each(*(tab.is_told_at_login("logout", LOGGED_OUT) for tab in others))
    # The view answers a second later than the socket: its answer must not be cut off.
    await here.page.wait_for_url("**/goodbye/")


async def test_signing_out_without_a_page_for_it(serve: Serve, sign_in: SignIn) -> None:
    user = await sign_in(serve())
    here, other = await user.open("/nonce/"), await user.open()
    await here.is_warned()
    await here.page.bring_to_front()
    await here.sign_out.click()
    await each(*(tab.is_told_at_login("logout", LOGGED_OUT) for tab in (here, other)))


async def test_without_a_login_page_the_ended_page_stays_covered(
    serve: Serve, sign_in: SignIn
) -> None:
    tab = await (await sign_in(serve(SITE_LOGIN_URL="nowhere"))).open()
    await expect(tab.dialog).to_contain_text(IDLE, timeout=15_000)
    assert await tab.view() == "gone"
    async with tab.page.expect_navigation():
        await tab.page.get_by_role("button", name="Reload the page").click()


async def test_sessions_are_apart(serve: Serve, sign_in: SignIn) -> None:
    server = serve(LONG)
    anna, ben = await sign_in(server, "anna"), await sign_in(server, "ben")
    anna_again = await sign_in(server, "anna")
    leaving, staying, same_user = await anna.open(), await ben.open(), await anna_again.open()
    await leaving.page.evaluate("client.logout()")
    await leaving.is_told_at_login("logout")
    for tab in (staying, same_user):
        await tab.page.evaluate("client.sync()")
        await tab.until("events.some(({ kind }) => kind === 'state')")
        assert not await tab.events("expired")


@pytest.mark.parametrize("presses", [1, 3])
async def test_escape_means_stay(serve: Serve, sign_in: SignIn, presses: int) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.is_warned()
    for _ in range(presses):
        await tab.page.keyboard.press("Escape")
    await tab.is_undisturbed()
    assert await tab.events("extended")


async def test_nothing_but_an_answer_closes_the_dialog(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.is_warned()
    await tab.dialog.evaluate("dialog => dialog.close()")
    await asyncio.sleep(0.2)
    await tab.is_warned()


async def test_a_key_meant_for_the_page_presses_no_button(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    work = tab.page.get_by_label("Work")
    await work.focus()
    await tab.is_warned()
    focused = tab.page.locator("*:focus")
    await expect(focused).to_have_text("Are you still there?")
    await tab.page.keyboard.press("Space")
    await tab.page.keyboard.press("Enter")
    assert await tab.view() == "warning"
    await tab.page.keyboard.press("Tab")
    await expect(tab.stay).to_be_focused()
    await tab.page.keyboard.press("Space")
    await tab.is_undisturbed()
    await expect(work).to_be_focused()


async def test_the_dialog_has_a_name_and_a_description(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.is_warned()
    dialog = tab.page.get_by_role("alertdialog", name="Are you still there?")
    await expect(dialog).to_have_accessible_description(
        "You have not been active for a while. "
        "For your security you will be signed out when the time is up. 0:04"
    )


async def test_the_countdown_is_seen_each_second_and_spoken_at_marks(
    serve: Serve, sign_in: SignIn
) -> None:
    tab = await (await sign_in(serve({"IDLE_TIMEOUT": 13, "WARN_BEFORE": 12}))).open()
    await tab.is_warned()
    await tab.page.evaluate(
        """() => {
          const note = (name, selector) => new MutationObserver(([{ target }]) => {
            (window[name] ??= []).push(target.textContent);
          }).observe(document.querySelector(selector), { childList: true });
          note("seen", "#realtime-session-clock");
          note("spoken", "[data-part=spoken]");
        }"""
    )
    await expect(tab.clock).to_have_text("0:08")
    assert await tab.page.evaluate("seen.slice(-3)") == ["0:10", "0:09", "0:08"]
    assert await tab.page.evaluate("spoken") == ["10 seconds left"]


async def test_a_fixed_end_offers_no_stay_but_leaves_people_to_their_work(
    serve: Serve, sign_in: SignIn
) -> None:
    server = serve({**LONG, "WARN_BEFORE": 3, "ABSOLUTE_TIMEOUT": 5})
    tab = await (await sign_in(server)).open()
    await expect(tab.dialog).to_be_visible()
    assert await tab.view() == "fixed"
    await expect(tab.stay).to_be_hidden()
    await expect(tab.dialog).to_contain_text("cannot be extended")
    await tab.page.keyboard.press("Escape")
    await tab.is_undisturbed()
    await tab.page.get_by_label("Work").fill("saved in time")
    await tab.is_told_at_login("absolute")


async def test_typing_keeps_the_session_alive_without_a_request(
    serve: Serve, sign_in: SignIn
) -> None:
    tab = await (await sign_in(serve())).open()
    tab.requests.clear()
    await tab.page.get_by_label("Work").press_sequentially("a long answer", delay=500)
    await tab.is_undisturbed()
    assert tab.requests == []
    assert await tab.events("warning") == []
    await tab.is_warned()


async def test_what_scripts_do_is_not_activity(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.page.evaluate(
        """setInterval(() => {
          for (const type of ["keydown", "mousemove", "pointerdown", "input"]) {
            document.body.dispatchEvent(new MouseEvent(type, { bubbles: true, movementX: 5 }));
          }
          document.getElementById("work").click();
          scrollBy(0, 1);
        }, 200)"""
    )
    await tab.is_warned()


async def test_a_page_can_speak_for_what_it_does_itself(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.page.evaluate("window.upload = setInterval(() => client.activity(), 300)")
    await asyncio.sleep(5)
    await tab.is_undisturbed()
    await tab.page.evaluate("clearInterval(upload)")
    await tab.is_warned()


async def test_activity_extends_in_the_warning_only_where_the_policy_says_so(
    serve: Serve, sign_in: SignIn
) -> None:
    policy = {**SHORT, "ACTIVITY_EXTENDS_IN_WARNING": True}
    lenient = await (await sign_in(serve(policy))).open()
    strict = await (await sign_in(serve())).open()
    await each(lenient.is_warned(), strict.is_warned())
    for tab in (lenient, strict):
        await tab.page.keyboard.press("Shift")
    await lenient.is_undisturbed()
    assert await strict.view() == "warning"
