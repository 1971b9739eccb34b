from pathlib import Path

import pytest
from django.db.utils import ConnectionHandler

from tests.databases import mariadb_server, postgres_server


@pytest.mark.parametrize(
    ("server", "vendor"),
    [(postgres_server, "postgresql"), (mariadb_server, "mysql")],
    ids=["postgres", "mariadb"],
)
def test_server_answers_django_and_is_gone_afterwards(server, vendor, django_db_blocker):
    with server() as databases, django_db_blocker.unblock():
        connection = ConnectionHandler(databases)["default"]
        assert connection.vendor == vendor
        with connection.cursor() as cursor:
            cursor.execute("SELECT '⏳'")
            assert cursor.fetchone() == ("⏳",)
        connection.close()
        directory = Path(databases["default"]["HOST"])
    assert not directory.exists()
