"""A session engine on a key-value store, as those for Redis are: a SessionBase of its own making."""

from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core.cache import caches


class SessionStore(SessionBase):
    def _name(self, session_key: str | None) -> str:
        return f"key-value-session-{session_key}"

    def load(self) -> dict[str, Any]:
        data = caches["shared"].get(self._name(self.session_key))
        if data is None:
            self._session_key = None
            return {}
        return self.decode(data)

    def exists(self, session_key: str) -> bool:
        return self._name(session_key) in caches["shared"]

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        data = self.encode(self._get_session(no_load=must_create))
        name, age = self._name(self.session_key), self.get_expiry_age()
        if must_create:
            if not caches["shared"].add(name, data, age):
                raise CreateError
        elif name not in caches["shared"]:
            raise UpdateError
        else:
            caches["shared"].set(name, data, age)
        return None

    def delete(self, session_key: str | None = None) -> None:
        caches["shared"].delete(self._name(session_key or self.session_key))

    @classmethod
    def clear_expired(cls) -> None:
        """The cache does it."""
