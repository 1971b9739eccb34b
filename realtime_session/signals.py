"""Signals that projects may receive.

Both are sent with the keyword arguments ``sid`` (str), ``user_id`` (str), ``reason`` (an ``EndReason``; None
at the start) and ``at`` (epoch seconds of the store's clock). A receiver's exception is logged, and
stops neither the end of a session nor other receivers.

What happens in a transaction is signalled once that is committed, and not at all if it is rolled back. A
``django.test.TestCase`` is no such transaction, but an ``atomic`` block in it, which never commits, is:
``captureOnCommitCallbacks(execute=True)`` has its signals sent.
"""

from django.dispatch import Signal

session_started = Signal()
"""A session began to be monitored: at a login, or at the first request of one logged in before."""

session_ended = Signal()
"""A session ended, by whatever means: once for each; at least once if a process dies while sending."""
