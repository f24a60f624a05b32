"""How a view answers an act: 303 to a page that says what happened; never a page from a POST that worked."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from envol.accounts.models import Undo


def see(
    request: HttpRequest, name: str, *args: Any, said: str = "", anchor: str = "", undo: Undo | None = None
) -> HttpResponse:
    """303 See Other to a route of ours, with a status message; ``undo`` puts a button beside it."""
    if undo is not None:
        request.session["undo"] = {"id": undo.pk, "said": said}
    elif said:
        messages.success(request, said)
    return see_path(reverse(f"web:{name}", args=args) + (f"#{anchor}" if anchor else ""))


def refuse(request: HttpRequest, name: str, *args: Any, said: str) -> HttpResponse:
    """303 back to a page with a sentence about what could not be done, and what to do."""
    messages.error(request, said)
    return see_path(reverse(f"web:{name}", args=args))


def see_path(path: str) -> HttpResponse:
    answer = HttpResponseRedirect(path)
    answer.status_code = 303
    return answer
