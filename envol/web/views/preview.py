"""A message alone in its frame, by the code that sends: for a person, in the dark, without pictures, as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Role
from envol.campaigns import checks, content
from envol.campaigns.models import Campaign
from envol.contacts.models import Contact
from envol.content import gallery, media, templates
from envol.content import preview as previews
from envol.content.designs import unsaved
from envol.content.models import Version
from envol.content.problems import RenderProblem, TemplateProblem
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses
from envol.web.safety import PREVIEW_POLICY
from envol.web.views.contents import person_seen, typed_words

SAMPLES = "/static/models/"


@dataclass(frozen=True, slots=True)
class See:
    """How a message is looked at."""

    dark: bool = False
    images: bool = True
    text: bool = False

    @classmethod
    def of(cls, given: QueryDict) -> See:
        return cls(bool(given.get("see.dark")), not given.get("see.no_images"), given.get("see.part") == "text")


@require_safe
@xframe_options_exempt
@audience(Role.VIEWER)
def preview(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The present version, or with ``?draft=`` what is being typed; ``?contact=ID`` as that person reads it."""
    found = _one(request, campaign_id)
    person = None
    wanted = request.GET.get("contact", "")
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 and sees_addresses(request):
        person = Contact.objects.filter(workspace_id=found.workspace.id, id=int(wanted)).first()
        if person is None:
            raise Http404
    version = checks.latest_version(found)
    if "draft" in request.GET and (draft := content.draft_of(found)) is not None:
        try:
            version = content.trial(found, content.words_of(draft), settings.ENVOL.base_url)
        except TemplateProblem as error:
            return _said("\n".join(problem.message for problem in error.problems), 422)
    return _shown(found, version, person, See.of(request.GET), canvas="draft" in request.GET)


@require_POST
@xframe_options_exempt
@audience(Role.EDITOR)
def preview_typed(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """What stands in the form now, without keeping it: the button of a page without script."""
    found = _one(request, campaign_id)
    words, _wrong = typed_words(request, found, receive=False)
    try:
        version = content.trial(found, words, settings.ENVOL.base_url)
    except TemplateProblem as error:
        return _said("\n".join(problem.message for problem in error.problems), 422)
    return _shown(found, version, person_seen(request, found), See.of(request.POST))


@require_safe
@xframe_options_exempt
@audience(Role.VIEWER)
def model_preview(request: MemberRequest) -> HttpResponse:
    """A model of the gallery with its own words and our drawings."""
    design = gallery.start(request.GET.get("model", gallery.MODELS[0].key), request.workspace.language)
    if design is None:
        raise Http404
    chips = gallery.chips_of(request.workspace)
    source = gallery.to_mjml(design, chips, {}, samples=SAMPLES)
    made = templates.compile_template("mjml", source, "-")
    version = unsaved(request.workspace, "mjml", source, "-", "", made, {})
    shown = previews.preview(version, None, base_url=settings.ENVOL.base_url).html or ""
    answer = _answer(previews.in_the_light(shown))
    answer["Cache-Control"] = "private, max-age=600"
    return answer


def _one(request: HttpRequest, campaign_id: int) -> Campaign:
    from envol.web.views.campaigns import one

    return one(request, campaign_id)  # type: ignore[arg-type]


def parts_of(campaign: Campaign, version: Version, person: Contact | None) -> Any:
    """Subject, html and text as this person gets them. Raises RenderProblem."""
    sender = {"name": campaign.from_name, "address": campaign.from_address or "preview@localhost.invalid"}
    return previews.preview(
        version, person, sender=sender, base_url=settings.ENVOL.base_url, campaign_name=campaign.name
    )


def _shown(
    campaign: Campaign, version: Version | None, person: Contact | None, see: See, *, canvas: bool = False
) -> HttpResponse:
    if version is None:
        return _answer("")
    try:
        parts = parts_of(campaign, version, person)
    except RenderProblem as error:
        return _said(str(error), 422)
    except ValueError:
        return _said(_("Mend the address of the sender first: it cannot stand in a message."), 422)
    if see.text or not parts.html:
        return _answer(_as_page(parts.text), canvas=canvas)
    # The page may be looked at by another name of this machine than its links have.
    body = parts.html.replace(f'"{settings.ENVOL.base_url}{media.PATH}', f'"{media.PATH}')
    body = previews.in_the_dark(body) if see.dark else previews.in_the_light(body)
    return _answer(body, images=see.images, canvas=canvas)


def _answer(body: str, status: int = 200, *, images: bool = True, canvas: bool = False) -> HttpResponse:
    """``canvas``: beside the form, whose page keeps the place one has scrolled to. Scripts are barred twice there too:
    by the sandbox and by the policy.
    """
    answer = HttpResponse(body, status=status)
    policy = PREVIEW_POLICY if images else PREVIEW_POLICY.replace("img-src 'self' data:", "img-src 'none'")
    if canvas:
        policy = policy.replace("; sandbox", "; sandbox allow-same-origin")
    answer["Content-Security-Policy"] = policy
    return answer


def _said(text: str, status: int) -> HttpResponse:
    return _answer(_as_page(text), status)


def _as_page(text: str) -> str:
    style = "white-space:pre-wrap;overflow-wrap:anywhere;font:1rem/1.5 ui-monospace,monospace;padding:1rem;margin:0"
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(_("Text part"))}</title></head>'
        f'<body style="margin:0"><pre style="{style}">{escape(text)}</pre></body></html>'
    )
