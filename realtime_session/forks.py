"""What a forked process begins anew, as the workers of a server do that loads the project before it forks.

A fork has a copy of all memory, but only the thread that forked: a lock that another one held stays locked
for ever there, and work that was under way is never done.
"""

import os
from collections.abc import Callable

Job = Callable[[], None]


def in_each_fork(job: Job) -> Job:
    """Call ``job`` first of all in each process that is forked from this one. It must not wait for a lock."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=job)
    return job
