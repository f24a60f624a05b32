"""A program with a key, calling the resources of the dialect."""

from __future__ import annotations

import base64
import json
from typing import Any

from django.test import Client

from envol.accounts.api_keys import Limits
from envol.accounts.models import ApiKey, Workspace
from envol.accounts.workspaces import create_api_key


class Program:
    def __init__(self, workspace: Workspace, *scopes: str) -> None:
        self.workspace = workspace
        self.made = create_api_key(workspace, "le site", Limits(scopes=scopes))
        self.key = ApiKey.objects.select_related("workspace").get(public_id=self.made.key)
        self.client = Client(HTTP_HOST="localhost")
        self.authorization = "Basic " + base64.b64encode(f"{self.made.key}:{self.made.secret}".encode()).decode()

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        return self.client.generic(
            method,
            path,
            data,
            content_type="application/json",
            headers={"authorization": self.authorization, **headers},
        )

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self.raw(method, f"/v3/REST/{path}", body)
        return answer.status_code, json.loads(answer.content) if answer.content else None

    def rows(self, path: str) -> list[dict[str, Any]]:
        status, told = self("GET", path)
        assert status == 200 and told["Count"] == told["Total"] == len(told["Data"]), told
        return list(told["Data"])

    def made_one(self, path: str, body: Any) -> dict[str, Any]:
        status, told = self("POST", path, body)
        assert status == 201 and told["Count"] == 1, (status, told)
        return dict(told["Data"][0])
