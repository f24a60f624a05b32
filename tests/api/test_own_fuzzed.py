"""Our own API against its own description, by schemathesis: whatever comes in, what goes out is as it is described."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from envol.accounts.workspaces import create_workspace
from envol.api.own.openapi import document
from tests.api.program import Program
from tests.examples import examples

EXAMPLES = examples(1)  # of each route; `make fuzz` takes more
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def program() -> Program:
    found = Program(create_workspace(f"f{secrets.token_hex(4)}", title="Essai"))
    for n in range(3):
        found.raw("POST", "/api/v1/contacts", {"email": f"p{n}@lecteurs.example"})
    found.raw("POST", "/api/v1/lists", {"name": "Lettre"})
    return found


schema = schemathesis.openapi.from_dict(document("http://localhost"))
if EXAMPLES == 1:  # making examples of all routes takes longer than asking them: that is for `make fuzz`
    schema = schema.include(path=[f"/api/v1/{name}" for name in ("contacts", "lists", "orders")])


@pytest.mark.filterwarnings("ignore")
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES == 1,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_answers_as_it_is_described(case: Any, program: Program) -> None:
    case.headers = {**dict(case.headers or {}), "Authorization": program.authorization}
    schema.app = get_wsgi_application()
    answer = case.call(app=schema.app, base_url="http://localhost")
    case.validate_response(answer, checks=CHECKS)
