"""Saving what a form filled into a model: values → MJML → the pipeline of every template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envol.accounts.models import Workspace
from envol.contacts.models import Property
from envol.content import gallery, media, templates
from envol.content.gallery import Chips, Design
from envol.content.models import Version
from envol.content.templates import Compiled


def source(workspace: Workspace, design: Design, base_url: str, chips: Chips | None = None) -> str:
    """The MJML of a design with the pictures of this workspace."""
    shown = media.pictures(workspace, gallery.media_of(design), base_url)
    return gallery.to_mjml(design, gallery.chips_of(workspace) if chips is None else chips, shown)


def save(
    workspace: Workspace,
    name: str,
    design: Design,
    subject: str,
    *,
    preheader: str = "",
    base_url: str,
    text: str | None = None,
    fallbacks: Mapping[str, str] | None = None,
    utm: Mapping[str, str] | None = None,
) -> Version:
    """A new version made of a model. ``subject`` and ``preheader`` are in the language of templates, as always.

    Raises TemplateProblem; the values of places cannot cause one, the subject can.
    """
    return templates.save(
        workspace,
        name,
        "mjml",
        source(workspace, design, base_url),
        subject,
        preheader=preheader,
        text=text,
        fallbacks=fallbacks,
        utm=utm,
        design=design.to_json(),
    )


def trial(
    workspace: Workspace, design: Design, subject: str, preheader: str, base_url: str, fallbacks: Mapping[str, str]
) -> Version:
    """The version that saving would make, not stored: what a preview of typed words shows.

    Raises TemplateProblem for a subject that cannot be read.
    """
    made = source(workspace, design, base_url)
    compiled = templates.compile_template("mjml", made, subject, preheader=preheader, known=known(workspace))
    return unsaved(workspace, "mjml", made, subject, preheader, compiled, fallbacks)


def unsaved(
    workspace: Workspace,
    mode: str,
    source: str,
    subject: str,
    preheader: str,
    compiled: Compiled,
    fallbacks: Mapping[str, str],
) -> Version:
    """A version without a row, for previews."""
    return Version(
        workspace=workspace,
        no=0,
        mode=mode,
        source=source,
        subject=subject,
        preheader=preheader,
        html=compiled.html,
        text=compiled.text,
        links=compiled.links,
        variables=compiled.variables,
        fallbacks=dict(fallbacks),
    )


def of(version: Version | None) -> Design | None:
    """The filled model behind a version; None when it was written as code."""
    return gallery.opened(version.design) if version is not None else None


def known(workspace: Workspace) -> dict[str, Any]:
    """Keys that a template may ask for."""
    return dict(Property.objects.filter(workspace=workspace).values_list("key", "purposes"))
