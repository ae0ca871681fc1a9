"""Refusals of the OAuth calls, in the words of their standards.

Source: RFC 6749, section 5.2; RFC 8628, section 3.5.
"""

from __future__ import annotations

from hub.errors import HubError


class OAuthRefusal(HubError):
    """`code` goes out as `error`, the message as `error_description`."""


class InvalidRequest(OAuthRefusal):
    code = "invalid_request"


class UnsupportedGrant(OAuthRefusal):
    code = "unsupported_grant_type"
    message = "Grant types here: urn:ietf:params:oauth:grant-type:device_code, refresh_token."


class InvalidGrant(OAuthRefusal):
    code = "invalid_grant"
    message = "This code or refresh token is unknown, used, revoked or expired. Log in again."


class AuthorizationPending(OAuthRefusal):
    code = "authorization_pending"
    message = "The user has not answered yet."


class SlowDown(OAuthRefusal):
    code = "slow_down"
    message = "Ask less often."


class ExpiredCode(OAuthRefusal):
    code = "expired_token"
    message = "The code has expired. Log in again."


class AccessDenied(OAuthRefusal):
    code = "access_denied"
    message = "The user has refused."
