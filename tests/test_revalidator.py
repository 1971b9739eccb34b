"""Sessions whose Django session is gone: who took it, and when."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from realtime_session.stores import get_store
from tests.ages import asid_of
from tests.sockets import tab

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_lapsed_a_fraction_of_a_second_early_reaches_its_fixed_end(
    client: Client,
) -> None:
    # As engines do that keep whole seconds.
    await get_store().aset_expiry(await asid_of(client), None, 0.7)
    async with tab(client) as socket:
        await Session.objects.all().adelete()
        await socket.say("extend")
        assert not (await socket.hear("extended"))["can_extend"]
        assert (await socket.hear("expired"))["reason"] == "absolute"


async def test_what_is_gone_long_before_its_fixed_end_was_revoked(client: Client) -> None:
    await get_store().aset_expiry(await asid_of(client), None, 60)
    async with tab(client) as socket:
        await Session.objects.all().adelete()
        await socket.say("extend")
        assert (await socket.hear("expired"))["reason"] == "revoked"
