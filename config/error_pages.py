"""The pages of errors that Django itself meets: unknown address, refused request, a bug."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import render
from django.template.loader import render_to_string

from config.errors import render_error
from config.logs import request_id
from hub import errors


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render_error(request, errors.InvalidInput("We could not make sense of this request."))


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render_error(request, errors.PermissionDenied())


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render_error(request, errors.NotFound())


def too_many_tries(request: HttpRequest) -> HttpResponse:
    """Of sign-in, whose tries django-allauth counts; the longest of its limits is five minutes."""
    response = render(request, "429.html", status=429)
    response["Retry-After"] = "300"
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """Needs neither database nor session, as either may be what broke."""
    page = render_to_string("errors/500.html", {"request_id": request_id.get()})
    return HttpResponseServerError(page)
