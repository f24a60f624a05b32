"""What mail and properties may be used for, and the exact words people are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from babel import Locale
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext

from envol.accounts.models import Workspace
from envol.accounts.workspaces import on_workspace_created
from envol.consent.models import Partner, Purpose, PurposeText

MEASURE_OPENS, MEASURE_CLICKS = 0, 1
"""Bits whose place is fixed: gates and composing read them without a look-up."""

AD_MATCHING = "ad_matching"
"""Key of the one purpose under which a digest of somebody's address may be given to an advertising platform. It counts
by consent alone, and no message is ever sent for it."""

ASKED_ONCE = "asked_once"
"""Key of the purpose for which people without a proven consent may be asked for one, once, where the law lets them be
written to. It carries the model "Ask for agreement" and nothing else, so nobody gets anything more by it."""

PARTNERS = "partner_offers"
"""Key of the usual purpose under which addresses are passed on to partners, each of them named by its words."""

UNSENT = (AD_MATCHING, PARTNERS)
"""No message of ours is sent for these."""

KINDS = ("marketing", "transactional", "measuring")
UNPROFILED = 61
"""The place in ``refused`` that no purpose has: she objected to profiling, or the use of her data is restricted."""
_BITS = UNPROFILED

# key, French label, English label, kind, French text, English text
_DEFAULTS = (
    (
        "measure_opens",
        "Mesure individuelle des ouvertures",
        "Individual measuring of opens",
        "measuring",
        "J’accepte que soit mesuré si j’ouvre les messages que je reçois. Je peux changer d’avis à tout moment.",
        "I agree that it is measured whether I open the messages I receive. I can change my mind at any time.",
    ),
    (
        "measure_clicks",
        "Mesure individuelle des clics",
        "Individual measuring of clicks",
        "measuring",
        "J’accepte que soient mesurés les liens que je suis dans les messages. Je peux changer d’avis à tout moment.",
        "I agree that the links I follow in messages are measured. I can change my mind at any time.",
    ),
    (
        "newsletter",
        "Lettre d’information",
        "Newsletter",
        "marketing",
        "J’accepte de recevoir la lettre d’information par courriel. Chaque message permet de se désinscrire.",
        "I agree to receive the newsletter by e-mail. Each message lets me unsubscribe.",
    ),
    (
        "offers",
        "Offres et promotions",
        "Offers",
        "marketing",
        "J’accepte de recevoir des offres par courriel. Chaque message permet de se désinscrire.",
        "I agree to receive offers by e-mail. Each message lets me unsubscribe.",
    ),
    (
        "transactional",
        "Suivi des commandes et du compte",
        "Orders and account",
        "transactional",
        "Messages nécessaires à vos commandes et à votre compte ; ils ne contiennent aucune promotion.",
        "Messages needed for your orders and your account; they hold no promotion.",
    ),
    (
        "personalisation",
        "Personnalisation des messages",
        "Personalised messages",
        "marketing",
        "J’accepte que le contenu des messages soit adapté à ce que j’ai déclaré ou acheté.",
        "I agree that the content of messages is adapted to what I declared or bought.",
    ),
)

# Offered, and in no workspace before somebody asks for it.
_OFFERED = (
    (
        AD_MATCHING,
        "Publicité ciblée hors de nos messages",
        "Targeted advertising outside our messages",
        "marketing",
        "J’accepte qu’une empreinte de mon adresse, calculée par hachage, soit transmise à des plateformes "
        "publicitaires. Elles me montrent alors des annonces, ou me les épargnent. Je peux changer d’avis à tout "
        "moment.",
        "I agree that a fingerprint of my address, made by hashing, is given to advertising platforms. They then show "
        "me advertisements, or spare me them. I can change my mind at any time.",
    ),
    (
        PARTNERS,
        "Offres de nos partenaires",
        "Offers of our partners",
        "marketing",
        "J’accepte que mon adresse soit transmise aux partenaires nommés ici, pour qu’ils m’écrivent eux-mêmes par "
        "courriel. Je peux changer d’avis à tout moment : ils en sont alors informés.",
        "I agree that my address is passed on to the partners named here, so that they write to me by e-mail "
        "themselves. I can change my mind at any time: they are then told.",
    ),
)


@on_workspace_created
def create_defaults(workspace: Workspace) -> None:
    """The six purposes every workspace begins with, bits 0 to 5, each with its words in two languages."""
    for key, label_fr, label_en, kind, fr, en in _DEFAULTS:
        add(workspace, key, label_fr, label_en, kind=kind, texts={"fr": fr, "en": en})


def add(
    workspace: Workspace, key: str, label_fr: str, label_en: str, *, kind: str = "marketing", texts: Mapping[str, str]
) -> Purpose:
    """A new purpose on the next free bit. ``texts``: language → the exact words people will read."""
    if kind not in KINDS:
        raise ValueError(f"A purpose is {', '.join(KINDS)}; not {kind!r}.")
    if not any(text.strip() for text in texts.values()):
        raise ValueError(gettext("Write the words that people will read before they answer."))
    with transaction.atomic():
        # One at a time per workspace: two purposes must not take the same bit.
        Workspace.objects.select_for_update().only("id").get(id=workspace.id)
        taken = Purpose.objects.filter(workspace=workspace).values_list("bit", flat=True)
        bit = max(taken, default=-1) + 1  # never a bit that was used before: masks may still hold it
        if bit >= _BITS:
            raise ValueError(gettext("There are at most %(n)s purposes: rename one instead.") % {"n": _BITS})
        purpose = Purpose.objects.create(
            workspace=workspace, bit=bit, key=key, label_fr=label_fr, label_en=label_en, kind=kind
        )
        reword(purpose, texts)
    return purpose


def asked_once(workspace: Workspace) -> Purpose:
    """The purpose of asking once, made when it is needed first."""
    found = Purpose.objects.filter(workspace=workspace, key=ASKED_ONCE).first()
    if found is not None:
        return found
    texts = {
        "fr": "On peut me demander une fois, par courriel, si j’accepte de recevoir des messages.",
        "en": "I may be asked once, by e-mail, whether I agree to receive messages.",
    }
    return add(workspace, ASKED_ONCE, "Demande d’accord, une seule fois", "Asking for agreement, once", texts=texts)


def rename(purpose: Purpose, label_fr: str, label_en: str) -> None:
    """Call a purpose something else on our pages; what people agreed to (its texts, its key) stays as it is."""
    label_fr, label_en = " ".join(label_fr.split()), " ".join(label_en.split())
    if not label_fr or not label_en:
        raise ValueError(gettext("Give the purpose a name in French and in English."))
    purpose.label_fr, purpose.label_en = label_fr[:200], label_en[:200]
    purpose.save(update_fields=["label_fr", "label_en"])


def proposed(workspace: Workspace) -> list[tuple[str, str, str, str, str, str]]:
    """The usual purposes this workspace does not have: key, French and English label, kind, French and English text."""
    there = set(Purpose.objects.filter(workspace=workspace).values_list("key", flat=True))
    return [one for one in (*_DEFAULTS, *_OFFERED) if one[0] not in there and one[3] != "measuring"]


def reword(purpose: Purpose, texts: Mapping[str, str]) -> int:
    """New words for a purpose: a new version beside the old one, to which earlier answers still point.

    Where people's data are passed on, the words end with the partners by name (`envol.consent.partners`).
    """
    with transaction.atomic():
        Purpose.objects.select_for_update().only("id").get(id=purpose.pk)
        last = (
            PurposeText.objects.filter(purpose=purpose).order_by("-version").values_list("version", flat=True).first()
            or 0
        )
        partners = list(Partner.objects.filter(purpose=purpose, until_version=None).order_by("pk"))
        for language, bare in texts.items():
            named = _named(partners, language)
            text = f"{bare} {named}".strip()
            PurposeText.objects.create(
                purpose=purpose,
                version=last + 1,
                language=language,
                text=text,
                named=named,
                sha256=hashlib.sha256(text.encode()).digest(),
            )
    return last + 1


def say_again(purpose: Purpose) -> int:
    """The words in force as a new version, with the partners as they are now."""
    newest = text(purpose).version
    return reword(
        purpose, {one.language: one.bare for one in PurposeText.objects.filter(purpose=purpose, version=newest)}
    )


def _named(partners: Sequence[Partner], language: str) -> str:
    """The sentence that names them, each with its country and site; empty without any."""
    if not partners:
        return ""
    places = Locale.parse("fr" if language == "fr" else "en").territories
    found = [f"{one.name} ({places.get(one.country, one.country)}, {one.site})" for one in partners]
    with translation.override(language):
        return gettext("Partners: %(names)s.") % {"names": ", ".join(found)}


def get(workspace: Workspace | int, key: str) -> Purpose:
    """The purpose called ``key``; `Purpose.DoesNotExist` names what exists."""
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    found = Purpose.objects.filter(workspace_id=workspace_id, key=key).first()
    if found is None:
        names = ", ".join(
            Purpose.objects.filter(workspace_id=workspace_id).order_by("bit").values_list("key", flat=True)
        )
        said = gettext("There is no purpose “%(name)s” here; there are: %(names)s.")
        raise Purpose.DoesNotExist(said % {"name": key[:60], "names": names})
    return found


def text(purpose: Purpose, language: str = "fr", version: int | None = None) -> PurposeText:
    """The words in force (or those of ``version``), in ``language`` if written, else in any."""
    wanted = PurposeText.objects.filter(purpose=purpose).order_by("-version")
    if version is not None:
        wanted = wanted.filter(version=version)
    newest = wanted.first()
    if newest is None:
        raise PurposeText.DoesNotExist(f"No words of version {version} were written for {purpose.key}.")
    return wanted.filter(version=newest.version, language=language).first() or newest


def mask(workspace: Workspace | int, *keys: str) -> int:
    """The bits of some purposes together, as catalogue entries and masks hold them."""
    return sum(1 << get(workspace, key).bit for key in dict.fromkeys(keys))
