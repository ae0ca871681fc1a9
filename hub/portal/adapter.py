"""How django-allauth makes our users: names share one space with organisations.

It also learns from us where a request comes from, and how often one may try to sign up.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from hub.actions.accounts import register_user
from hub.addresses import client_address
from hub.models import User
from hub.portal.account_forms import clean_new_namespace
from hub.rates import Address, take


class AccountAdapter(DefaultAccountAdapter):
    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "unknown"

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Always; asked before each sign-up, by form or through GitHub. Raises `RateLimited`."""
        if request.method == "POST":
            take("signup", Address(client_address(request)))
        return True

    def clean_username(self, username: str, shallow: bool = False) -> str:
        """`username`, if a user may have it and, unless `shallow`, nobody else has."""
        return clean_new_namespace(username, is_free_checked=not shallow)

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Saves the user of a sign-up form together with the namespace."""
        super().save_user(request, user, form, commit=False)
        return register_user(user=user) if commit else user
