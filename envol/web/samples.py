"""Samples of calls in four languages, ready to copy: the reader's key is in them, its secret never."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

LANGUAGES = {"curl": "curl", "python": "Python", "php": "PHP", "js": "JavaScript"}


class Sample(NamedTuple):
    name: Any
    says: Any
    text: str


_SEND = {
    "curl": """curl -s {base}/v3.1/send \\
  -u "{key}:$ENVOL_SECRET" -H 'Content-Type: application/json' -d '{{
  "Messages": [{{
    "From": {{"Email": "boutique@shop.example", "Name": "La boutique"}},
    "To": [{{"Email": "anna@lecteurs.example"}}],
    "Subject": "Votre commande",
    "TextPart": "Elle est partie."
  }}]
}}'""",
    "python": """import os

import requests  # pip install requests

answer = requests.post(
    "{base}/v3.1/send",
    auth=("{key}", os.environ["ENVOL_SECRET"]),
    json={{
        "Messages": [
            {{
                "From": {{"Email": "boutique@shop.example", "Name": "La boutique"}},
                "To": [{{"Email": "anna@lecteurs.example"}}],
                "Subject": "Votre commande",
                "TextPart": "Elle est partie.",
            }}
        ]
    }},
)
print(answer.status_code, answer.json())""",
    "php": """<?php
$ch = curl_init('{base}/v3.1/send');
curl_setopt_array($ch, [
    CURLOPT_USERPWD => '{key}:' . getenv('ENVOL_SECRET'),
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ['Content-Type: application/json'],
    CURLOPT_POSTFIELDS => json_encode(['Messages' => [[
        'From' => ['Email' => 'boutique@shop.example', 'Name' => 'La boutique'],
        'To' => [['Email' => 'anna@lecteurs.example']],
        'Subject' => 'Votre commande',
        'TextPart' => 'Elle est partie.',
    ]]]),
]);
echo curl_exec($ch);""",
    "js": """const answer = await fetch("{base}/v3.1/send", {{
  method: "POST",
  headers: {{
    "Content-Type": "application/json",
    Authorization: "Basic " + btoa("{key}:" + process.env.ENVOL_SECRET),
  }},
  body: JSON.stringify({{
    Messages: [
      {{
        From: {{ Email: "boutique@shop.example", Name: "La boutique" }},
        To: [{{ Email: "anna@lecteurs.example" }}],
        Subject: "Votre commande",
        TextPart: "Elle est partie.",
      }},
    ],
  }}),
}});
console.log(answer.status, await answer.json());""",
}
_CONTACT = {
    "curl": """curl -s {base}/api/v1/contacts \\
  -u "{key}:$ENVOL_SECRET" -H 'Content-Type: application/json' -H 'Idempotency-Key: signup-4711' \\
  -d '{{"email": "anna@lecteurs.example", "properties": {{"first_name": "Anna"}}}}'""",
    "python": """import os

import requests  # pip install requests

api = requests.Session()
api.auth = ("{key}", os.environ["ENVOL_SECRET"])
answer = api.post(
    "{base}/api/v1/contacts",
    headers={{"Idempotency-Key": "signup-4711"}},
    json={{"email": "anna@lecteurs.example", "properties": {{"first_name": "Anna"}}}},
)
print(answer.status_code, answer.json())""",
    "php": """<?php
$ch = curl_init('{base}/api/v1/contacts');
curl_setopt_array($ch, [
    CURLOPT_USERPWD => '{key}:' . getenv('ENVOL_SECRET'),
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ['Content-Type: application/json', 'Idempotency-Key: signup-4711'],
    CURLOPT_POSTFIELDS => json_encode([
        'email' => 'anna@lecteurs.example',
        'properties' => ['first_name' => 'Anna'],
    ]),
]);
echo curl_exec($ch);""",
    "js": """const answer = await fetch("{base}/api/v1/contacts", {{
  method: "POST",
  headers: {{
    "Content-Type": "application/json",
    "Idempotency-Key": "signup-4711",
    Authorization: "Basic " + btoa("{key}:" + process.env.ENVOL_SECRET),
  }},
  body: JSON.stringify({{ email: "anna@lecteurs.example", properties: {{ first_name: "Anna" }} }}),
}});
console.log(answer.status, await answer.json());""",
}


def written(language: str, base: str, key: str) -> list[Sample]:
    return [
        Sample(
            _("Send a message"),
            _("As programs written for Mailjet do: only the address and the key change."),
            _SEND[language].format(base=base, key=key),
        ),
        Sample(
            _("Take somebody in"),
            _(
                "In Envol’s own words. Being known permits nothing: what may be sent is said on the page of the key."
                " The Idempotency-Key names the sign-up in your own program: sent twice, it is taken once."
            ),
            _CONTACT[language].format(base=base, key=key),
        ),
    ]
