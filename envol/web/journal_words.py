"""The journal in words: what each kind of act is called, and where the thing it was done to can be seen."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

WORDS = {
    "analysis.asked": gettext_lazy("asked by SQL"),
    "analysis.exported": gettext_lazy("took the answer to a question in SQL away as a file"),
    "api_key.created": gettext_lazy("made an API key"),
    "api_key.limited": gettext_lazy("changed what an API key may do"),
    "api_key.paused": gettext_lazy("paused an API key"),
    "api_key.resumed": gettext_lazy("resumed an API key"),
    "api_key.revoked": gettext_lazy("revoked an API key"),
    "bulk.join": gettext_lazy("put people on a list"),
    "bulk.leave": gettext_lazy("took people off a list"),
    "bulk.merge": gettext_lazy("merged two fields"),
    "bulk.locate": gettext_lazy("completed places from the table"),
    "bulk.set": gettext_lazy("set a value of many people"),
    "bulk.tag": gettext_lazy("tagged many people"),
    "bulk.undone": gettext_lazy("took an act on many people back"),
    "bulk.untag": gettext_lazy("took a tag off many people"),
    "campaign.braked": gettext_lazy("paused a campaign that met too many dead addresses or complaints"),
    "campaign.changed": gettext_lazy("changed a campaign"),
    "campaign.confirmed": gettext_lazy("confirmed a late campaign"),
    "campaign.created": gettext_lazy("made a campaign"),
    "campaign.deleted": gettext_lazy("deleted a campaign"),
    "campaign.paused": gettext_lazy("paused a campaign"),
    "campaign.people_exported": gettext_lazy("took the people behind a figure away as a file"),
    "campaign.resent": gettext_lazy("sent a campaign again"),
    "campaign.resumed": gettext_lazy("resumed a campaign"),
    "campaign.scheduled": gettext_lazy("scheduled a campaign"),
    "campaign.sent": gettext_lazy("sent a campaign"),
    "campaign.stopped": gettext_lazy("stopped a campaign"),
    "campaign.taken_back": gettext_lazy("took a campaign back"),
    "campaign.tested": gettext_lazy("sent a test message"),
    "contact.erased": gettext_lazy("erased a person"),
    "contact.granted": gettext_lazy("recorded a permission of a person"),
    "contact.withdrawn": gettext_lazy("recorded that a person took a permission back"),
    "contacts.exported": gettext_lazy("took people away as a file"),
    "contact.rectified": gettext_lazy("corrected the address or language of a person"),
    "contact.silenced": gettext_lazy("let marketing rest for a person"),
    "contact.unsilenced": gettext_lazy("let marketing go on for a person"),
    "contact.restricted": gettext_lazy("restricted the use of a person's data"),
    "contact.unrestricted": gettext_lazy("let a person's data be used again"),
    "request.pack": gettext_lazy("took a person's data to hand over"),
    "contact.noted": gettext_lazy("wrote a note on a person"),
    "delay.changed": gettext_lazy("changed a repurchase delay"),
    "breach.suspected": gettext_lazy("suspected a breach"),
    "breach.aware": gettext_lazy("became aware of a breach"),
    "breach.facts": gettext_lazy("wrote down facts of a breach"),
    "breach.authority": gettext_lazy("decided whether a breach is notified"),
    "breach.notified": gettext_lazy("notified a breach"),
    "breach.persons": gettext_lazy("decided whether people are told of a breach"),
    "breach.told": gettext_lazy("told people of a breach"),
    "breach.alert": gettext_lazy("reminded owners of a breach"),
    "breach.dismissed": gettext_lazy("dismissed a suspected breach"),
    "breach.closed": gettext_lazy("closed a breach"),
    "desk.changed": gettext_lazy("changed who is responsible for people's data"),
    "map.confirmed": gettext_lazy("read the data map and found it right"),
    "processor.added": gettext_lazy("added a processor"),
    "processor.changed": gettext_lazy("changed a processor"),
    "processor.ended": gettext_lazy("noted that a processor has ended"),
    "domain.added": gettext_lazy("declared a domain"),
    "domain.keys_made": gettext_lazy("made new keys for a domain"),
    "domain.keys_rotated": gettext_lazy("began to sign with new keys"),
    "domain.failing": gettext_lazy("found records of a domain missing"),
    "domain.repaired": gettext_lazy("found every record of a domain again"),
    "domain.replies": gettext_lazy("said where replies go on to"),
    "domain.trusted": gettext_lazy("vouched for a domain"),
    "event.removed": gettext_lazy("deleted an event of your own"),
    "event.renamed": gettext_lazy("renamed an event of your own"),
    "export.asked": gettext_lazy("asked for people as a file"),
    "export.removed": gettext_lazy("took an exported file away"),
    "export.taken": gettext_lazy("downloaded people as a file"),
    "held.expired": gettext_lazy("cancelled what nobody decided on in time"),
    "held.refused": gettext_lazy("refused a message that looked like fraud"),
    "held.released": gettext_lazy("let a message go that looked like fraud"),
    "import.cancelled": gettext_lazy("stopped an import"),
    "import.done": gettext_lazy("finished an import"),
    "import.failed": gettext_lazy("failed to finish an import"),
    "import.orders_received": gettext_lazy("brought a file of orders"),
    "import.received": gettext_lazy("brought a file of people"),
    "import.undone": gettext_lazy("undid an import"),
    "inbox.emptied": gettext_lazy("emptied the inbox"),
    "mailing_list.accepted": gettext_lazy("let a message to a mailing list through"),
    "mailing_list.changed": gettext_lazy("changed a mailing list"),
    "mailing_list.closed": gettext_lazy("closed a mailing list"),
    "mailing_list.made": gettext_lazy("made a mailing list"),
    "mailing_list.refused": gettext_lazy("refused a message to a mailing list"),
    "ledger.verified": gettext_lazy("verified the ledger"),
    "list.created": gettext_lazy("made a list"),
    "list.removed": gettext_lazy("deleted a list"),
    "list.renamed": gettext_lazy("renamed a list"),
    "list.restored": gettext_lazy("brought a list back"),
    "mail.resent": gettext_lazy("sent a message again"),
    "media.deleted": gettext_lazy("deleted a picture"),
    "media.received": gettext_lazy("brought a picture"),
    "member.changed": gettext_lazy("changed the role of a member"),
    "member.invited": gettext_lazy("invited a member"),
    "member.removed": gettext_lazy("removed a member"),
    "purpose.created": gettext_lazy("made a purpose"),
    "purpose.renamed": gettext_lazy("renamed a purpose"),
    "purpose.reworded": gettext_lazy("gave a purpose new words"),
    "property.added": gettext_lazy("added a field"),
    "property.changed": gettext_lazy("changed a field"),
    "property.deleted": gettext_lazy("deleted a field"),
    "queue.cancelled": gettext_lazy("cancelled messages that waited"),
    "queue.tried": gettext_lazy("had messages that waited tried at once"),
    "rhythm.changed": gettext_lazy("changed how stages of activity are measured"),
    "segment.changed": gettext_lazy("changed a segment"),
    "segment.created": gettext_lazy("made a segment"),
    "segment.followed": gettext_lazy("began to follow a segment"),
    "segment.unfollowed": gettext_lazy("stopped following a segment"),
    "segment.restored": gettext_lazy("brought an earlier rule of a segment back"),
    "segment.deleted": gettext_lazy("deleted a segment"),
    "segment.by_hand": gettext_lazy("chose a person by hand for a segment"),
    "stored.added": gettext_lazy("listed a domain whose mail waits here"),
    "stored.removed": gettext_lazy("took a domain whose mail waits here off the list"),
    "shop.added": gettext_lazy("added a shop"),
    "shop.changed": gettext_lazy("changed a shop"),
    "shop.removed": gettext_lazy("removed a shop"),
    "signup.changed": gettext_lazy("changed a sign-up form"),
    "signup.closed": gettext_lazy("closed a sign-up form"),
    "signup.created": gettext_lazy("made a sign-up form"),
    "signup.opened": gettext_lazy("opened a sign-up form"),
    "suppression.added": gettext_lazy("let an address get nothing more"),
    "suppression.expired": gettext_lazy("let suppressions end that were made for a time"),
    "suppression.exported": gettext_lazy("took the list of who gets nothing more away as a file"),
    "suppression.lifted": gettext_lazy("lifted a suppression"),
    "contact.interest": gettext_lazy("wrote down an interest of a person"),
    "topic.changed": gettext_lazy("changed a topic"),
    "topic.created": gettext_lazy("made a topic"),
    "topic.given": gettext_lazy("gave a link its topics"),
    "topic.removed": gettext_lazy("deleted a topic"),
    "tier.changed": gettext_lazy("changed what a tier gives"),
    "workspace.changed": gettext_lazy("changed the settings"),
    "workspace.created": gettext_lazy("made the organisation"),
}
"""Each action of the journal, as what somebody did."""

ACTORS = {
    "member": gettext_lazy("a member"),
    "key": gettext_lazy("a program"),
    "command": gettext_lazy("the command line"),
    "job": gettext_lazy("Envol itself"),
    "person": gettext_lazy("the person herself"),
}
_SEEN_AT = {
    "campaign": "campaign", "segment": "segment", "contact": "contact", "import": "import", "domain": "domain",
    "list": "list", "export": "export", "shop": "shop",
    "processor": "processor", "breach": "breach",
}  # fmt: skip


def said(action: str) -> str:
    """What was done, in the reader's language; an act without words of its own keeps its code."""
    if action.endswith(".undone") and (done := action.removesuffix(".undone")) in WORDS:
        return _("took back: %(act)s") % {"act": WORDS[done]}
    return str(WORDS.get(action, action))


def seen_at(kind: str, object_id: int | None) -> str:
    """The page of the thing, when it has one."""
    route = _SEEN_AT.get(kind)
    if route is None or object_id is None:
        return ""
    try:
        return reverse(f"web:{route}", args=[object_id])
    except NoReverseMatch:
        return ""
