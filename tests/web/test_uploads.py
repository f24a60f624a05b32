from __future__ import annotations

from io import BytesIO
from typing import Any

from django.core.handlers.wsgi import WSGIHandler


class Untouched(BytesIO):
    """A body that says when somebody reads it."""

    touched = False

    def read(self, *args: Any) -> bytes:
        self.touched = True
        return super().read(*args)

    readline = read  # type: ignore[assignment]


def test_a_strangers_upload_is_refused_before_its_first_byte_is_read() -> None:
    body = Untouched(b"x" * 1000)
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/imports", "SERVER_NAME": "localhost", "SERVER_PORT": "8025",
        "HTTP_HOST": "localhost", "wsgi.input": body, "wsgi.url_scheme": "http", "wsgi.errors": BytesIO(),
        "CONTENT_LENGTH": "4000000000", "CONTENT_TYPE": "multipart/form-data; boundary=b", "QUERY_STRING": "",
    }  # fmt: skip
    list(WSGIHandler()(environ, lambda status, headers: said.append(status)))
    assert said == ["302 Found"]
    assert not body.touched
