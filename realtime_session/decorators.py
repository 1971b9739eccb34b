"""For views."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "realtime_session_passive"


def passive(view: View) -> View:
    """Mark a view, sync or async, whose requests are no activity, such as one that a page polls.

    For class-based views: ``@method_decorator(passive, name="dispatch")``.
    """
    if iscoroutinefunction(view):

        @wraps(view)
        async def marked(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)
    else:

        @wraps(view)
        def marked(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

    setattr(marked, _MARK, True)
    return marked  # type: ignore[return-value]


def is_passive_view(view: Callable[..., Any]) -> bool:
    """Say whether ``passive`` marked the view."""
    return getattr(view, _MARK, False) is True
