"""What usually happens when a breach does: six kinds, each with first steps and the words of a notification.

The words are a draft of art. 33(3): whoever knows better changes them. What speaks for telling the authority (art. 33)
and the people (art. 34) follows EDPB Guidelines 01/2021 on examples of breaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

Text = Any
"""Lazy: read in the language of whoever looks."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do at once; ``page``: the name of the page where it is done, when Envol has one."""

    words: Text
    page: str = ""


@dataclass(frozen=True, slots=True)
class Playbook:
    key: str
    label: Text
    steps: tuple[Step, ...]
    nature: Text
    consequences: Text
    measures: Text
    authority: Text
    people: Text


PLAYBOOKS = (
    Playbook(
        "visible",
        _("Addresses seen by everybody: Cc instead of Bcc"),
        (
            Step(_("Ask the recipients to delete the message, in a message to each of them alone.")),
            Step(_("Note what the subject tells about them: being a patient is more than an address.")),
            Step(_("Send such messages as a campaign or by a list: each person gets one of her own."), "campaigns"),
        ),
        _("One message went to several people, and each could read the addresses of all."),
        _("The recipients know who else writes to us. They may get unasked mail, or be deceived in our name."),
        _("The recipients were asked to delete the message. Such messages now go to each person alone."),
        _("A risk is unlikely only where few people saw it and the subject tells nothing about them."),
        _("Tell them when the addresses are many, or when being in touch with you is sensitive by itself."),
    ),
    Playbook(
        "wrong_people",
        _("A message went to the wrong people"),
        (
            Step(_("Stop the sending: what is not in a mailbox yet does not get there."), "campaigns"),
            Step(_("Read in the report who got it, and save them as a segment."), "campaigns"),
            Step(_("Find the rule that chose them, and what it says now."), "segments"),
        ),
        _("A message meant for some people went to others."),
        _("Who got it learned what was meant for others. Those it was meant for did not get it."),
        _("The sending was stopped. The rule that chose the recipients was corrected and looked at by two people."),
        _("Notify when the message told something about a person, were it only that she is a customer."),
        _("Tell those about whom it told something that can harm them."),
    ),
    Playbook(
        "shifted",
        _("Values shifted: people read what belongs to somebody else"),
        (
            Step(_("Stop the sending: what is not in a mailbox yet does not get there."), "campaigns"),
            Step(_("Find the import that moved the columns, and undo it."), "imports"),
            Step(_("Look at the next message as three real people before it leaves."), "campaigns"),
        ),
        _("Messages carried values of other people: a name, an order or a number stood in the wrong message."),
        _("People read data of somebody else, and others read theirs. Trust in what we write is lost."),
        _("The sending was stopped and the import undone. Messages are now looked at as real people before."),
        _("Notify: data of one person were read by another."),
        _("Tell both when the values were more than a first name."),
    ),
    Playbook(
        "file",
        _("A file of people was lost or went astray"),
        (
            Step(_("Take away what still waits for download."), "exports"),
            Step(_("Read in the journal who took the file, and when."), "journal"),
            Step(_("Ask whoever has it to delete it and to say so in writing.")),
            Step(_("Note whether it was encrypted, and where the key is.")),
        ),
        _("A file with data of people was lost, or sent to somebody who must not have it."),
        _("Whoever has the file can write to these people, deceive them, or hand their data on."),
        _("The recipient was asked to delete the file and to confirm it. Further copies were taken away."),
        _("A risk is unlikely only where the file was encrypted and the key is safe."),
        _("Tell them unless the file was encrypted, or is known to be deleted unread."),
    ),
    Playbook(
        "key",
        _("A key, a password or a device was stolen"),
        (
            Step(_("Take the key back, and make a new one for the program that needs it."), "keys"),
            Step(_("Read in the journal what was done in its name since."), "journal"),
            Step(_("End the sessions of the member and let her choose another password."), "team"),
            Step(_("Stop what was sent in its name."), "queue"),
        ),
        _("Somebody without the right to it used a key or an account of ours."),
        _("Data may have been read, changed or taken, and mail sent in our name: people can be deceived."),
        _("The key was withdrawn and sessions were ended. What was done with it was looked through in the journal."),
        _("Notify unless the journal shows that nothing was read and nothing sent."),
        _("Tell them when their data were taken, or mail reached them in your name."),
    ),
    Playbook(
        "server",
        _("The server was broken into, or its data were locked"),
        (
            Step(_("Cut it off from the network, and keep it as it is: traces are evidence.")),
            Step(_("Build it anew from a backup of before; erasures since then are done again by themselves.")),
            Step(_("Make new keys, passwords and DKIM keys: the old ones are known."), "keys"),
            Step(_("File a complaint; tell your processors and whoever processes for you."), "processors"),
        ),
        _("Somebody got into the server; data were read, changed, locked or deleted."),
        _("Data may be published or sold and used to deceive people. Messages and wishes may have been lost."),
        _("The server was cut off and built anew from a backup. Keys and passwords were changed."),
        _("Notify: also data that only could not be reached are a breach."),
        _("Tell them when data left the server, or nobody can exclude it."),
    ),
)

_OF_WATCH = {"exports": "file", "key": "key", "stopped": "wrong_people", "others": "shifted"}


def of(key: str) -> Playbook | None:
    return next((one for one in PLAYBOOKS if one.key == key), None)


def of_watch(watch: str) -> Playbook | None:
    """The kind that what a watch saw is most likely of."""
    return of(_OF_WATCH.get(watch, ""))


def choices() -> list[tuple[str, Text]]:
    return [("", pgettext_lazy("kind of breach", "something else")), *((one.key, one.label) for one in PLAYBOOKS)]
