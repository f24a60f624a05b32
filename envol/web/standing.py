"""Every request speaks to the database as the page role, of no workspace until its route's guard has said which."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from envol import db_role


class StandingMiddleware:
    """Outermost: whatever runs for a request is held, and sees nothing of the one before it in this thread."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with db_role.of_request():
            answer = self._next(request)
            if isinstance(answer, StreamingHttpResponse) and not answer.is_async:
                # Its rows are read after this block: each piece by whoever may read them.
                answer.streaming_content = _as(db_role.standing(), iter(answer))
            return answer


def _as(standing: db_role.Standing, pieces: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with db_role.standing_as(standing):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
