"""What holds for a session holds with every session engine, on a real server."""

import pytest

# Their facts fail as tests do.
for name in ("facts", "ends", "expiry", "policies", "revalidation"):
    pytest.register_assert_rewrite(f"{__name__}.{name}")
