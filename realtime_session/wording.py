"""What people are told when a session ended, by reason."""

from django.utils.translation import gettext_lazy as _

from .policy import EndReason

MESSAGES = {
    EndReason.IDLE: _("Your session has ended because there was no activity for a while."),
    EndReason.ABSOLUTE: _("Your session has ended because it reached its maximum duration."),
    EndReason.LOGOUT: _("You have been signed out."),
    EndReason.REVOKED: _("Your session has been ended. Please sign in again."),
    EndReason.CLOSED: _("Your session has ended because its last window was closed."),
    EndReason.UNKNOWN: _("Your session has ended. Please sign in again."),
}


def message_for(reason: EndReason) -> str:
    """Return the message for people, in the language that is active."""
    return str(MESSAGES[reason])
