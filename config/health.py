"""Whether this process can serve: for load balancers, containers and `manage.py up`."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse

from evaluation.alarms import find_alarms


def healthz(request: HttpRequest) -> HttpResponse:
    """200 where the database answers, else 503; then a line for each thing an operator should know.

    The lines are found at each request, so that they are true also when nothing else works.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        lines = ["ok", *(f"alert: {alarm.public}" for alarm in find_alarms())]
    except DatabaseError:
        return HttpResponse("database unreachable\n", status=503, content_type="text/plain")
    return HttpResponse("\n".join([*lines, ""]), content_type="text/plain")
