import pytest
from django.test import override_settings

from realtime_session.handshake import Handshake

LOCALE = "django.middleware.locale.LocaleMiddleware"


def handshake(scheme="ws", server=("127.0.0.1", 8000), subprotocols=(), **headers):
    given = {"host": "testserver", **headers}
    return Handshake(
        {
            "type": "websocket",
            "path": "/ws/session/",
            "query_string": b"",
            "scheme": scheme,
            "server": server,
            "subprotocols": list(subprotocols),
            "headers": [
                (name.replace("_", "-").encode(), value.encode("latin1"))
                for name, value in given.items()
                if value is not None
            ],
        }
    )


def allows(origin, **options):
    return handshake(origin=origin, **options).has_allowed_origin


class TestOrigin:
    """Without ``ALLOWED_ORIGINS``: as Django's CSRF check decides."""

    def test_own_origin_is_allowed(self):
        assert allows("http://testserver")

    @pytest.mark.parametrize("origin", [None, "", "null"])
    def test_missing_or_null_origin_is_refused(self, origin):
        assert not allows(origin)

    @pytest.mark.parametrize(
        "origin",
        [
            "http://example.com",
            "http://testserver.example.com",
            "http://example.com/testserver",
            "http://evil-testserver",
            "http://sub.testserver",
            "http://test",
            "http://localhost",
        ],
    )
    def test_other_host_is_refused(self, origin):
        assert not allows(origin)

    @pytest.mark.parametrize(
        "origin", ["https://testserver", "ws://testserver", "ftp://testserver", "//testserver"]
    )
    def test_other_scheme_is_refused(self, origin):
        assert not allows(origin)

    @pytest.mark.parametrize(
        ("host", "origin", "allowed"),
        [
            ("testserver:8000", "http://testserver:8000", True),
            ("testserver:8000", "http://testserver", False),
            ("testserver:8000", "http://testserver:8001", False),
            ("testserver", "http://testserver:8000", False),
            ("testserver", "http://testserver:80", False),
        ],
    )
    def test_port_counts(self, host, origin, allowed):
        assert allows(origin, host=host) is allowed

    @pytest.mark.parametrize(
        "origin",
        [
            "testserver",
            "http:/testserver",
            "http://[",
            "http://",
            "http",
            ":",
            "\xff",
            "*",
            "x" * 9999,
        ],
    )
    def test_what_is_no_origin_is_refused(self, origin):
        assert not allows(origin)

    def test_secure_socket_has_a_secure_origin(self):
        assert allows("https://testserver", scheme="wss")
        assert not allows("http://testserver", scheme="wss")

    @pytest.mark.parametrize("origin", [None, "", "null", "http://evil.example", "https://any"])
    def test_allowed_hosts_of_everything_allow_no_other_origin(self, origin, settings):
        settings.ALLOWED_HOSTS = ["*"]
        assert not allows(origin, host="any")
        assert allows("http://any", host="any")

    def test_host_that_is_not_allowed_is_refused_even_for_its_own_origin(self):
        assert not allows("http://evil.example", host="evil.example")

    @pytest.mark.parametrize("host", [None, "", "te st", "a" * 9999])
    def test_host_that_is_none_is_refused(self, host):
        assert not allows("http://testserver", host=host)

    def test_proxy_that_ends_tls_is_believed_where_the_project_says_so(self, settings):
        secure = {"x_forwarded_proto": "https"}
        assert not allows("https://testserver", **secure)
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert allows("https://testserver", **secure)
        assert not allows("http://testserver", **secure)
        assert not allows("https://testserver", x_forwarded_proto="http")
        assert not allows("https://testserver")

    def test_proxy_that_changes_the_host_is_believed_where_the_project_says_so(self, settings):
        forwarded = {"host": "testserver", "x_forwarded_host": "public.example"}
        settings.ALLOWED_HOSTS = ["public.example", "testserver"]
        assert not allows("http://public.example", **forwarded)
        settings.USE_X_FORWARDED_HOST = True
        assert allows("http://public.example", **forwarded)
        assert not allows("http://testserver", **forwarded)

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            ("https://app.example.com", True),
            ("http://app.example.com", False),
            ("https://app.example.com:8443", False),
            ("https://other.example.com", False),
            ("https://a.wild.example", True),
            ("https://a.b.wild.example", True),
            ("http://a.wild.example", False),
            ("https://evilwild.example", False),
            ("https://a.wild.example.evil", False),
            ("http://testserver", True),
        ],
    )
    def test_origins_that_the_project_trusts_are_allowed_as_well(self, origin, allowed, settings):
        settings.CSRF_TRUSTED_ORIGINS = ["https://app.example.com", "https://*.wild.example"]
        assert allows(origin) is allowed


class TestAllowedOrigins:
    """With ``ALLOWED_ORIGINS``: those and no others."""

    @pytest.fixture(autouse=True)
    def allowed_origins(self, settings):
        settings.ALLOWED_HOSTS = ["testserver"]
        settings.REALTIME_SESSION = {
            "ALLOWED_ORIGINS": [
                "https://App.example.com",
                "http://localhost:8000",
                "https://*.wild.example",
                "https://*.port.example:8443",
            ]
        }

    @pytest.mark.parametrize(
        "origin",
        [
            "https://app.example.com",
            "HTTPS://APP.EXAMPLE.COM",
            "http://localhost:8000",
            "https://a.wild.example",
            "https://a.b.wild.example",
            "https://a.port.example:8443",
        ],
    )
    def test_listed_origins_are_allowed(self, origin):
        assert allows(origin)

    @pytest.mark.parametrize(
        "origin",
        [
            None,
            "",
            "null",
            "*",
            "http://testserver",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://app.example.com/",
            "http://localhost",
            "http://localhost:8001",
            "http://a.wild.example",
            "https://a.wild.example:8443",
            "https://evilwild.example",
            "https://wild.example.evil",
            "https://evil.example/.wild.example",
            "https://evil.example?.wild.example",
            "https://evil.example#.wild.example",
            "https://user@evil.example",
            "https://a.port.example",
            "https://[.wild.example",
        ],
    )
    def test_no_others_are(self, origin):
        assert not allows(origin)

    def test_host_does_not_matter(self):
        assert allows("https://app.example.com", host="anything")

    def test_empty_list_allows_nobody(self):
        with override_settings(REALTIME_SESSION={"ALLOWED_ORIGINS": []}):
            assert not allows("http://testserver")


class TestSubprotocol:
    @pytest.mark.parametrize(
        ("offered", "selected", "is_common"),
        [
            ([], None, True),
            (["realtime-session.v1"], "realtime-session.v1", True),
            (["realtime-session.v2", "realtime-session.v1"], "realtime-session.v1", True),
            (["realtime-session.v2"], "realtime-session.v2", False),
            (["x", "y"], "x", False),
            (["Realtime-Session.V1"], "Realtime-Session.V1", False),
        ],
    )
    def test_own_one_is_selected_or_else_one_that_the_browser_accepts(
        self, offered, selected, is_common
    ):
        found = handshake(subprotocols=offered)
        assert found.subprotocol == selected
        assert found.has_common_subprotocol is is_common

    def test_server_that_says_nothing_about_it_is_understood(self):
        scope = {"type": "websocket", "path": "/", "headers": []}
        assert Handshake(scope).has_common_subprotocol
        assert not Handshake(scope).has_allowed_origin


class TestCookie:
    def test_session_key_is_the_value_of_the_session_cookie(self, settings):
        cookies = {"cookie": "a=1; sessionid=secret; other=2"}
        assert handshake(**cookies).session_key == "secret"
        settings.SESSION_COOKIE_NAME = "other"
        assert handshake(**cookies).session_key == "2"

    @pytest.mark.parametrize("cookie", [None, "", "a=1", "sessionid", "sessionid=", ";;=;"])
    def test_without_a_cookie_it_is_empty(self, cookie):
        assert handshake(cookie=cookie).session_key == ""


class TestLanguage:
    def test_is_that_of_the_project_where_nothing_chooses_another(self, settings):
        settings.LANGUAGE_CODE = "en-us"
        assert handshake(accept_language="de").language == "en-us"

    def test_is_that_of_the_browser_where_the_project_minds_it(self, settings):
        settings.MIDDLEWARE = [LOCALE, *settings.MIDDLEWARE]
        assert handshake(accept_language="de,en;q=0.5").language == "de"
        assert handshake(accept_language="xx").language == "en"
        assert handshake().language == "en"

    def test_cookie_of_the_language_goes_before_the_browser(self, settings):
        settings.MIDDLEWARE = [LOCALE, *settings.MIDDLEWARE]
        cookie = f"{settings.LANGUAGE_COOKIE_NAME}=fr"
        assert handshake(accept_language="de", cookie=cookie).language == "fr"
