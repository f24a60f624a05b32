"""Why a message was held or refused, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babel.core import Locale, UnknownLocaleError
from django.utils.translation import get_language, gettext, gettext_noop

_SAID = {
    "brand_name": gettext_noop("the sender calls itself %(what)s and writes from another domain"),
    "brand_domain": gettext_noop("its domain looks like that of a known name: %(what)s"),
    "brand_link": gettext_noop("a link leads to a host that borrows a known name: %(what)s"),
    "brand_in_text": gettext_noop("it speaks of %(what)s and leads elsewhere"),
    "mixed_domain": gettext_noop("a domain mixes alphabets to look like another: %(what)s"),
    "mixed_letters": gettext_noop("a word mixes alphabets to look like another: %(what)s"),
    "mismatch": gettext_noop("a link shows one address and opens another: %(what)s"),
    "short_link": gettext_noop("a shortened link hides where it leads: %(what)s"),
    "free_host": gettext_noop("a link leads to a host where anybody can put a page: %(what)s"),
    "thrown_away": gettext_noop("a link leads to a domain of the kind that is used once: %(what)s"),
    "address_link": gettext_noop("a link leads to a bare IP address: %(what)s"),
    "disguised_link": gettext_noop("a link hides its host behind a user name: %(what)s"),
    "script_link": gettext_noop("a link runs a script: %(what)s"),
    "blocked_link": gettext_noop("a link leads to a blocked host: %(what)s"),
    "asks_password": gettext_noop("it has a field for a password"),
    "form": gettext_noop("it has a form to fill in"),
    "script": gettext_noop("it has a script"),
    "answer_elsewhere": gettext_noop("answers go to a free mailbox at %(what)s"),
    "file_program": gettext_noop("an attachment is a program: %(what)s"),
    "file_macro": gettext_noop("an attachment has macros: %(what)s"),
    "file_bomb": gettext_noop("an attachment unpacks without end: %(what)s"),
    "file_page": gettext_noop("an attachment is a page with a form or a script: %(what)s"),
    "file_locked": gettext_noop("an attachment is encrypted, so that nobody can look into it: %(what)s"),
    "file_script": gettext_noop("an attached PDF runs a script or opens other files: %(what)s"),
    "file_archive": gettext_noop("an attached archive cannot be looked into: %(what)s"),
    "says_threat": gettext_noop("it says that an account is in danger"),
    "says_demand": gettext_noop("it asks to prove an identity or to renew details"),
    "says_hurry": gettext_noop("it presses for time"),
    "says_secret": gettext_noop("it asks for a password, a card or a code"),
    "says_mailbox": gettext_noop("it speaks as the administrator of a mailbox, or of a document that waits"),
    "says_parcel": gettext_noop("it asks something for a parcel that waits"),
    "says_refund": gettext_noop("it promises money that waits"),
    "says_prize": gettext_noop("it promises a prize"),
    "says_advance": gettext_noop("it promises a fortune, a loan or an inheritance"),
    "says_extortion": gettext_noop("it threatens and wants to be paid"),
    "says_fine": gettext_noop("it asks to pay a fine"),
    "says_crypto": gettext_noop("it asks for access to a wallet of cryptocurrency, or promises gains"),
    "says_boss": gettext_noop("it asks for a transfer, gift cards or other bank details"),
    "habit_fraud": gettext_noop("%(what)s messages of this hour were held or refused as fraud"),
    "habit_unknown": gettext_noop("%(what)s of a hundred recipients of a day do not exist"),
    "habit_volume": gettext_noop("%(what)s messages within this hour, many times more than ever before"),
    "habit_language": gettext_noop("most of this hour is in a language it never wrote in: %(what)s"),
    "habit_ending": gettext_noop("most of this hour goes to places it never wrote to: %(what)s"),
    "habit_rhythm": gettext_noop("it was never used at this hour of the day (%(what)s h UTC)"),
    "rspamd": gettext_noop("Rspamd takes it for spam (%(what)s)"),
    "says_card": gettext_noop("it asks for the numbers of a card, or the words of a wallet"),
    "says_cancel": gettext_noop("it tells of an order or a payment to be cancelled"),
    "office_domain": gettext_noop("its domain says an office and not a name: %(what)s"),
    "says_callback": gettext_noop("it wants to be called about money or a virus"),
    "says_fee": gettext_noop("it asks for a fee before a prize or a gift"),
    "says_several": gettext_noop("it says several such things together"),
    "program_link": gettext_noop("a link downloads a program: %(what)s"),
    "says_job": gettext_noop("it promises easy money"),
    "leads_away": gettext_noop("what it asks for is done on a page that is not its sender's: %(what)s"),
    "broken_home": gettext_noop("under another's name it asks for something on its sender's own pages: %(what)s"),
    "seed_words": gettext_noop("it asks for the words that open a wallet"),
    "coins": gettext_noop("it tells where coins are to be paid to"),
    "prize": gettext_noop("it promises a great prize and asks who you are: %(what)s"),
    "made_host": gettext_noop("a link leads to a domain put together of words of service: %(what)s"),
    "strange_name": gettext_noop("the sender's name has nothing to do with its address: %(what)s"),
    "secret_away": gettext_noop("it speaks of a password or a code beside a page that is not its sender's"),
    "asks_to_scan": gettext_noop("it asks to scan a picture with a telephone"),
    "told_password": gettext_noop("it tells the password of what is attached and cannot be looked into"),
    "form_away": gettext_noop("a form in it is sent to another host: %(what)s"),
    "frame": gettext_noop("it shows or opens a page of elsewhere by itself: %(what)s"),
    "hidden_text": gettext_noop("much of its text is there for nobody to see"),
    "only_picture": gettext_noop("it is only a picture that leads away"),
    "lure": gettext_noop("it lures with a picture or a film of whoever reads"),
    "wants_answer": gettext_noop("it wants a quick or silent answer to a mailbox that is not its sender's: %(what)s"),
    "wants_gift": gettext_noop("it wants the codes of gift cards"),
    "misery": gettext_noop("it asks for money for somebody who suffers"),
    "romance": gettext_noop("it speaks of love and wants an answer elsewhere"),
    "fortune": gettext_noop("it speaks of millions and wants an answer"),
    "new_bank": gettext_noop("it tells that payments go to another account from now on"),
    "new_number": gettext_noop("it tells a new telephone number, and of something to be paid: %(what)s"),
    "call_about_money": gettext_noop("it tells of a charge and of a number to call: %(what)s"),
    "law": gettext_noop("it threatens with the law"),
    "easy_work": gettext_noop("it promises easy work and money"),
    "learnt_fraud": gettext_noop("taken together it resembles known fraud, above all by these words: %(what)s"),
    "learnt_honest": gettext_noop("what speaks for it: taken together it resembles honest letters"),
}


def said(rule: str, what: str = "") -> str:
    """One reason in the language of whoever reads."""
    sentence = _SAID.get(rule)
    if rule in ("habit_language", "habit_ending"):
        what = ", ".join(map(_language if rule == "habit_language" else _ending, what.split(", ")))
    return gettext(sentence) % {"what": what} if sentence else rule


def _language(code: str) -> str:
    """Its name, as whoever reads calls it."""
    try:
        return str(Locale.parse((get_language() or "en").replace("-", "_")).languages.get(code, code))
    except (ValueError, UnknownLocaleError):
        return code


def _ending(name: str) -> str:
    """The end of domains, so that nobody takes it for a language."""
    return f".{name}" if name else name


def all_said(reasons: Sequence[Sequence[Any]]) -> list[str]:
    """Reasons as they are kept with what is held: rows of rule, points, what."""
    return [said(str(rule), str(what)) for rule, _points, what in reasons]
