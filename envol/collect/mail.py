"""The one mail a sign-up sends. Its words are ours and the workspace's, never the visitor's: what she typed would
make our mail carry anybody's message to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils.html import escape

from envol import events
from envol.collect.models import SignupForm
from envol.consent.models import Purpose

_WORDS = {
    "fr": {
        "subject": "Confirmez votre inscription – {workspace}",
        "hello": "Bonjour,",
        "why": "Cette adresse vient d’être inscrite auprès de {workspace} pour recevoir :",
        "do": "Si c’est bien vous, confirmez ici (le lien vaut 7 jours) :",
        "button": "Confirmer mon inscription",
        "not": "Si ce n’est pas vous, ne faites rien : sans confirmation, rien ne vous sera envoyé et cette demande"
        " sera effacée après 7 jours.",
    },
    "en": {
        "subject": "Confirm your subscription – {workspace}",
        "hello": "Hello,",
        "why": "This address was just signed up with {workspace} to receive:",
        "do": "If it was you, confirm here (the link is valid for 7 days):",
        "button": "Confirm my subscription",
        "not": "If it was not you, do nothing: without confirmation nothing will be sent to you, and this request"
        " is erased after 7 days.",
    },
}


_PARENT = {
    "fr": {
        "subject": "Votre accord est demandé – {workspace}",
        "why": "La personne qui lit {child} vous a désigné comme parent. Elle est trop jeune pour accepter seule"
        " (RGPD, article 8), et demande à {workspace} de lui envoyer :",
        "do": "Si vous êtes d’accord, dites-le ici (le lien vaut 7 jours) :",
        "button": "Je suis d’accord",
        "not": "Sinon, ne faites rien : sans votre accord, rien ne sera envoyé, et la demande avec les deux adresses"
        " sera effacée après 7 jours.",
    },
    "en": {
        "subject": "Your agreement is asked for – {workspace}",
        "why": "Whoever reads {child} named you as a parent. That person is too young to agree alone (GDPR, article 8)"
        " and asks {workspace} to send:",
        "do": "If you agree, say so here (the link is valid for 7 days):",
        "button": "I agree",
        "not": "If not, do nothing: without your agreement nothing is sent, and the request with both addresses is"
        " erased after 7 days.",
    },
}


def confirmation(
    form: SignupForm,
    address: str,
    secret: str,
    purposes: Sequence[Purpose],
    language: str,
    *,
    child: str = "",
    mailing_list: str = "",
) -> None:
    """Ask, in the caller's transaction, that the confirmation be mailed; it is transactional and untracked.

    ``mailing_list``: the title of the list that was written to. ``child``: whose address it is about, when this goes
    to a parent of hers. She proved that the mailbox is hers.
    """
    language = language if language in _WORDS else "en"
    known = _WORDS[language] | (_PARENT[language] if child else {})
    words = {name: text.format(workspace=form.workspace.title, child=child) for name, text in known.items()}
    url = f"{settings.ENVOL.base_url}/s/{form.token}/{secret}"
    labels = [p.label_fr if language == "fr" else p.label_en for p in purposes]
    if mailing_list:
        labels = [f"{mailing_list} – {label}" for label in labels]
    about = f"{form.workspace.title}\n{form.workspace.postal_address}".strip()
    text = "\n\n".join(
        [words["hello"], words["why"], "\n".join(f"- {label}" for label in labels), words["do"], url, words["not"]]
    )
    events.request_mail(
        "confirmation",
        address,
        {
            "subject": words["subject"],
            "text": f"{text}\n\n-- \n{about}\n",
            "html": _html(words, labels, url, about, language),
        },
        workspace_id=form.workspace.pk,
        language=language,
    )


def _html(words: dict[str, str], labels: Sequence[str], url: str, about: str, language: str) -> str:
    said = {name: escape(text) for name, text in words.items()}
    boxes = "".join(f"<li>{escape(label)}</li>" for label in labels)
    lines = "<br>".join(escape(line) for line in about.splitlines())
    link = escape(url)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{said["subject"]}</title></head>'
        '<body style="margin:0;padding:24px 12px;background:#f6f5f1;color:#17212b;'
        'font:16px/1.55 system-ui,-apple-system,Segoe UI,sans-serif">'
        '<div style="max-width:34rem;margin:0 auto;background:#fffdf9;border:1px solid #d5d3cb;border-radius:6px;'
        'padding:24px">'
        f"<p>{said['hello']}</p><p>{said['why']}</p><ul>{boxes}</ul><p>{said['do']}</p>"
        f'<p><a href="{link}" style="display:inline-block;background:#134e5e;color:#ffffff;padding:12px 20px;'
        f'border-radius:6px;text-decoration:none;font-weight:600">{said["button"]}</a></p>'
        f'<p style="font-size:14px;word-break:break-all"><a href="{link}" style="color:#134e5e">{link}</a></p>'
        f'<p style="color:#4d5b68">{said["not"]}</p>'
        f'<p style="color:#4d5b68;font-size:14px">{lines}</p></div></body></html>'
    )
