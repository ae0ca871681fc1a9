"""What people are told about an address that cannot be used, and about a delivery that failed."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _  # pages look the words up in their language

URL_WORDS = {
    "malformed": _("This is no address that can be sent to."),
    "too_long": _("The address is too long."),
    "scheme": _("The address must begin with https:// or http://."),
    "password": _("An address with a user name or password in it is not taken."),
    "port": _("Below 1024 only the ports 80 and 443 are sent to."),
    "private": _("The address leads into a private network, where this site does not send."),
}
"""Keys are codes of `addresses.BadAddress`."""

SECRET_WORDS = _("A secret has at most 256 printable ASCII characters, no space at its ends.")

ERROR_WORDS = {
    "private": _("The address leads into a private network, where this site does not send."),
    "address": _("The address cannot be used any more. Change it."),
    "name": _("The name of the receiver is not known to the name servers."),
    "connect": _("The receiver could not be reached."),
    "tls": _("No safe connection: the receiver's certificate was not accepted."),
    "timeout": _("The receiver took too long to answer."),
    "protocol": _("The connection broke off, or the answer was not HTTP."),
    "redirect": _("The receiver answered with a redirect, which is not followed."),
    "status": _("The receiver did not answer with a status from 200 to 299."),
    "secret": _("The secret could not be read. Set it again."),
    "lost": _("Our worker stopped in the middle of the last try. You can send it again."),
    "disabled": _("The webhook was switched off before this was sent."),
}
"""Keys are values of `WebhookDelivery.error`."""
