"""Real processes whose parts fail, and what has to hold all the same."""

import pytest

slow = pytest.mark.slow_fault
