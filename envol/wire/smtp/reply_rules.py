"""The tables behind `replies`: words and codes of receivers, and what they mean.

A rule holds when one of its patterns is found in the lower-case text of the reply.
Order matters: the first rule that holds decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

Action = Literal["delivered", "retry", "throttle", "blocked", "hard_bounce", "fail"]
Meaning = tuple[Action, str]


class Rule(NamedTuple):
    """`digits`: first digits of the replies for which the rule holds."""

    pattern: re.Pattern[str]
    meaning: Meaning
    digits: str


def _rule(action: Action, cause: str, *patterns: str, digits: str = "45") -> Rule:
    return Rule(re.compile("|".join(patterns)), (action, cause), digits)


_WHO = (
    r"(?:user|recipient|mailbox|mail box|address|account|addressee|e-?mail"
    r"|destinataire|utilisateur|adresse|compte|bo[iî]te)"
)
_MANY_RECIPIENTS = (r"too many recipients", r"recipient limit", r"maximum (?:number of )?recipients")

GENERAL: tuple[Rule, ...] = (
    # Codes of AOL, which Yahoo's hosts still say.
    _rule("throttle", "rate", r"\((?:dyn|con):\w+\)"),
    _rule("blocked", "ip_listed", r"\((?:rtr|rly):\w+\)"),
    _rule("fail", "content_refused", r"[(\[]hv[up]:\w+"),
    _rule("blocked", "reverse_dns", r"\(dns:\w+\)", r"\bptr record"),
    # United Internet (GMX, web.de, IONOS) calls each mailbox unavailable, whatever it means.
    _rule("blocked", "policy", r"mailbox unavailable\W+(?:reject due to|invalid dns)", digits="5"),
    _rule("blocked", "ip_listed", r"csi\.cloudmark\.com/", r"\bblock for spam\b"),
    _rule(
        "fail",
        "form_refused",
        r"missing (?:a )?(?:valid )?(?:message-id|from|date|sender) (?:header|field)",
        digits="5",
    ),
    # Barracuda names the recipient, and means the letter or its sender.
    _rule("blocked", "policy", r"permanent failure for one or more recipients \(.{0,100}blocked", digits="5"),
    # Words about us (rate, source address, sender, proof) before words about the recipient:
    # a blocked sender is often answered "5.1.1 user unknown, your IP is listed".
    _rule(
        "fail",
        "mailbox_full",  # before the words of rate: it is his mailbox that holds too many
        r"too many (?:messages|mails|e-?mails) (?:on the server|in (?:the |this |your |his |her )?(?:mail ?box|inbox))",
        r"zu ?viele mails",
    ),
    _rule("retry", "recipient_rate", r"receiving mail (?:at a rate|too quickly)", digits="4"),
    _rule("retry", "too_many_recipients", *_MANY_RECIPIENTS, digits="4"),
    _rule("fail", "too_many_recipients", *_MANY_RECIPIENTS, digits="5"),
    _rule(
        "throttle",
        "rate",
        r"too many (?:\w+ ){0,2}(?:connections?|sessions?|messages|mails|e-?mails|requests)",
        r"(?:connection|message|sending|hourly|daily) (?:rate )?limit",
        r"rate.?limit",
        r"throttl",
        r"unusual rate",
        r"too (?:fast|frequent|much mail)",
        r"frequency limited",
        r"deferred due to (?:\w+ )?(?:volume|traffic)",
        r"unusual sending (?:activity|volume|pattern)",
        r"server (?:is )?(?:too )?busy",
        r"temporarily deferred",
        r"slow down",
        r"max(?:imum)? (?:number of )?(?:messages? per )?connections?",
        r"trop de (?:connexions|messages)",
    ),
    _rule("retry", "greylisted", r"gr[ae]y.?list", digits="4"),
    _rule(
        "blocked",
        "ip_listed",
        r"spamhaus",
        r"spamcop",
        r"barracudacentral",
        r"\bsorbs\b",
        r"uceprotect",
        r"abusix",
        r"\bdnsbl\b",
        r"\brbl\b",
        r"\b(?:black|block|deny) ?-?list(?:ed)?\b",
        r"\byour ip\b",
        r"\bsending ip\b",
        r"\b(?:host|ip|address) (?:\S+ ){0,4}(?:has been |is )banned\b",
        r"\bhost (?:\S+ ){0,5}blocked\b",  # "host mx said: 550 this account is blocked" is not about us
        r"\bip .{0,60}(?:blocked|listed|banned|reputation)",
        r"(?:poor|bad|low) (?:\w+ )?(?:reputation|sender score)",
        r"(?:by|due to|because of) (?:its |your |ip )?reputation",
        r"reputation .{0,30}(?:poor|bad|low)",
    ),
    _rule(
        "blocked",
        "reverse_dns",
        r"\bptr\b",
        r"reverse (?:dns|host|lookup|address)",
        r"\brdns\b",
        r"cannot find your (?:reverse )?hostname",
        r"forward.confirmed",
        r"\bfcrdns\b",
    ),
    _rule(
        "blocked",
        "authentication",
        r"\bdkim\b",
        r"\bdmarc\b",
        r"\bspf\b",
        r"sender policy framework",
        r"unauthenticated (?:mail|e-?mail|message|sender)",
        r"anti-?spoofing",
        r"authentication (?:checks?|results?|fail)",
    ),
    _rule(
        "blocked",
        "tls_required",
        r"must issue a starttls",
        r"starttls (?:is )?required",
        r"requires? (?:tls|encryption)",
        r"encryption (?:is )?required",
    ),
    _rule(
        "blocked",
        "credentials",
        r"authentication (?:is )?required",
        r"log ?in first",
        r"not logged in(?! (?:for|since|in|within) )",
    ),
    _rule(
        "fail",
        "content_refused",  # before the words about senders, for some say "spam, or its sender is blocked"
        r"(?:contains?|(?:identified|classified|considered|detected)(?: as)?|looks? like|because of)"
        r" (?:\w+ ){0,2}(?:spam|unsolicited)",
        r"spam (?:content|detected|message|score)",
        r"(?:due to|because of|violates?) (?:\w+ )?content (?:restriction|polic|filter|rule)",
        r"e-?mail rejected due to security polic",
    ),
    _rule(
        "hard_bounce",
        "unknown_user",
        r"5\.4\.1.{0,20}recipient address rejected: access denied",  # Microsoft 365, whatever the domain is called
        r"recipient address rejected: access denied.{0,60}\.(?:prod|protection)\.",
        r"5\.1\.0 address rejected|^address rejected\b",
        r"wasn.t found at|unknown to address",
        r"recipient verification failed",
        digits="5",
    ),
    _rule(
        "fail",
        "sender_refused",
        r"sender .{0,60}(?:reject|refus|denied|unknown|invalid|not exist|n.t exist|not allowed|verify|blocked)",
        r"(?:from|return.path|sender) (?:address|domain) .{0,40}(?:not|invalid|unknown|reject)",
    ),
    _rule(
        "fail",
        "relay_denied",
        r"relay(?:ing)? .{0,20}(?:denied|not (?:permitted|allowed)|prohibited|disabled)",
        r"(?:unable|not) to relay",
        r"\bnot relay\b",
        r"use me .{0,60}as a relay",
        r"allowed rcpthosts",
    ),
    # Full before unknown, because "quota exceeded" may come with the code of an unknown user.
    _rule(
        "fail",
        "mailbox_full",
        r"(?:mail ?box|inbox|quota|storage|account|bo[iî]te).{0,50}(?:\bfull\b|exceed|over ?quota|over limit|pleine)",
        r"over ?quota",
        r"(?:mail ?box|inbox|account) .{0,30}overflow",
        r"\bfull (?:mail ?box|inbox)",
        r"out of storage",
        r"exceed.{0,30}(?:quota|storage|disk space)",
        r"(?:reached|exceeds?|over|above) (?:its|his|her|their|the)?[ ]?(?:\w+ )?(?:quota|storage limit)",
    ),
    _rule(
        "hard_bounce",
        "mailbox_disabled",
        rf"{_WHO}.{{0,60}}\b(?:disabled|inactive|suspended|deactivated|closed|archived|discontinued|terminated)\b",
        rf"{_WHO}.{{0,60}}\b(?:no longer|has expired)\b",
        rf"{_WHO}.{{0,60}}\b(?:archiv[eé]e?|d[eé]sactiv[eé]e?|cl[oô]tur[eé]e?|suspendue?|r[eé]sili[eé]e?)\b",
        r"(?:postfach|konto|benutzer|mailbox) .{0,40}(?:gesperrt|deaktiviert|gel.{1,2}scht)",
        r"(?:cuenta|buz.n|casella|utente|conta) .{0,40}(?:desactivad|disattivat|desativad|suspendid|sospes)",
        rf"{_WHO}.{{0,30}}\b(?:not active|locked)\b",
        rf"(?:disabled|inactive|suspended|deactivated|discontinued) {_WHO}",
    ),
    _rule(
        "hard_bounce",
        "unknown_user",
        rf"(?:unknown|no such|invalid|non.?existent|unrouteable|bad) (?:local )?(?:e-?mail )?{_WHO}",
        rf"{_WHO}.{{0,60}}(?:\bunknown\b|not found|not exist|n.t exist|n.existe|is invalid|not (?:listed|known|valid))",
        rf"{_WHO} .{{0,20}}inconnue?\b",
        r"does(?:n.t| not) have an? .{0,40}account",
        r"has no (?:mail ?box|account)",
        r"\bno (?:valid |such )?(?:mail ?box|account|recipient|user)s? "
        r"(?:here|by th(?:at|is) name|found|available|named|for th)",
        r"not an? (?:known|valid|active|existing|recogni[sz]ed|local|current) "
        r"(?:mail ?box|recipient|user|address|account|e-?mail|customer)",
        r"(?:recipient|user|address)(?: name)? (?:is |was )?not (?:recogni[sz]ed|on (?:our|this) (?:system|server))",
        r"nosuchuser|bad_?recipient|badrcptto|(?:user|recip(?:ient)?|mailbox)_?not_?found",
        r"(?:unknown|invalid)_(?:user|recipient)",
        r"nie istnieje|nieznany (?:u.ytkownik|adresat|odbiorca)|nie ma takie",
        r"(?:empf.nger|benutzer|adresse|konto) .{0,40}(?:unbekannt|nicht gefunden|existiert nicht)",
        r"(?:пользовател|ящик|адрес).{0,40}не (?:найден|существует)",
        r"(?:usuario|utente|usu.rio) (?:desconocido|sconosciuto|inexistente)",
    ),
    _rule("hard_bounce", "unknown_user", r"mailbox unavailable", digits="5"),
    _rule(
        "hard_bounce",
        "unknown_domain",
        r"(?:host|domain) .{0,40}(?:not found|does not exist|unknown)",
        r"no such domain",
        r"domain .{0,30}not accept mail",
        r"name or service not known|nodename nor servname|malformed .{0,40}name server reply",
    ),
    # The message.
    _rule("fail", "loop", r"mail(?:er)? loop", r"routing loop", r"too many hops", r"loops? back"),
    _rule(
        "fail",
        "too_large",
        r"message (?:is |was )?(?:size|too (?:big|large))",
        r"size .{0,30}(?:exceed|limit)",
        r"exceed.{0,40}\bsize",
        r"too (?:big|large)",
    ),
    _rule("fail", "malware", r"\bvirus", r"malware", r"trojan", r"phish", r"infected"),
    _rule(
        "fail",
        "content_refused",
        r"spam",
        r"\buce\b",
        r"unsolicited",
        r"junk mail",
        r"content (?:was |is )?(?:reject|refus|denied|filter|not)",
        r"suspicious",
        r"message filtered",
    ),
    _rule(
        "retry",
        "their_storage",
        r"insufficient (?:system )?(?:storage|disk|space|resources)",
        r"out of (?:disk|memory)",
        r"queue .{0,20}full",
    ),
    _rule(
        "blocked",
        "policy",
        r"(?:security|local|site|administrative) polic",
        r"policy (?:reasons?|restrictions?|violation|reject)",
        r"a problem occurred\. ?\(?ask your postmaster",  # T-Online says no more of a source that it does not want
        r"requires? (?:sender )?confirmation",
        r"not (?:pre-?)?approved|not (?:on|in) (?:my|our|the|his|her) white ?-?list",
        digits="5",
    ),
    _rule("retry", "later", r"try (?:it |your .{0,20})?again", r"temporar", r"later", r"r[eé]essay", digits="4"),
)

OF_RECEIVER: Mapping[str, tuple[Rule, ...]] = {
    "google": (
        _rule("retry", "mailbox_full", r"overquotatemp", r"out of storage space", digits="4"),
        _rule("fail", "mailbox_full", r"overquotaperm", r"out of storage space", digits="5"),
        _rule("retry", "recipient_rate", r"receiving mail (?:at a rate|too quickly)", digits="4"),
        _rule("blocked", "reputation", r"your ip address has been blocked", digits="5"),
        _rule("throttle", "rate", r"unusual rate", r"rate of unsolicited"),
        _rule("blocked", "reputation", r"likely (?:unsolicited|suspicious)", r"low reputation"),
    ),
    "microsoft": (
        _rule("blocked", "ip_listed", r"s31[45]0", r"\bsc-00\d", r"banned sending ip"),
        _rule("throttle", "rate", r"\brp-00\d"),
        _rule("hard_bounce", "unknown_user", r"recipient address rejected: access denied", digits="5"),
    ),
    "yahoo": (
        _rule("blocked", "reputation", r"\[ts03\]", r"permanently deferred"),
        _rule("throttle", "rate", r"\[tss?\d+\]", r"temporarily deferred"),
        _rule("blocked", "ip_listed", r"\[bl\d+\]"),
        _rule("retry", "reconnect", r"max messages? per connection"),
        _rule("hard_bounce", "unknown_user", r"this user doesn", r"mailbox not found"),
    ),
    "orange": (
        _rule("blocked", "ip_listed", r"ofr\d*_10[23]"),
        _rule("throttle", "rate", r"ofr\d*_10[45]"),
        _rule("fail", "sender_refused", r"ofr\d*_4[01]5"),
        _rule("hard_bounce", "unknown_user", r"ofr\d*_416"),
        _rule("fail", "mailbox_full", r"ofr\d*_417"),
        _rule("fail", "content_refused", r"ofr\d*_506"),
        _rule("fail", "too_large", r"ofr\d*_514"),
        _rule("blocked", "authentication", r"ofr\d*_517"),
        _rule("retry", "later", r"ofr\d*_(?:505|999)"),
        _rule("blocked", "service_refused", r"service refus", digits="5"),
    ),
    "laposte": (
        _rule("blocked", "ip_listed", r"lpn\d*_10[12]"),
        _rule("throttle", "rate", r"lpn\d*_104", r"trop de connexions"),
        _rule("blocked", "authentication", r"lpn\d*_401"),
        _rule("hard_bounce", "unknown_user", r"lpn\d*_416"),
        _rule("hard_bounce", "mailbox_disabled", r"lpn\d*_420"),
        _rule("fail", "account_blocked", r"lpn\d*_426"),
        _rule("blocked", "service_refused", r"lpn\d*_510"),
    ),
    # SFR shuts a source address out for two hours.
    "sfr": (
        _rule("hard_bounce", "unknown_user", r"(?:user|recipient) unknown", r"(?:utilisateur|adresse) inconnue?"),
        _rule("blocked", "two_hours", r"sfr_in_\w\d+"),
    ),
    "free": (_rule("blocked", "ip_listed", r"too many .{0,60}from your ip"),),
    "gmx": (_rule("blocked", "ip_listed", r"no smtp service"),),
    "icloud": (
        _rule("throttle", "rate", r"\[hm0[78]\]", r"\[cs01\]", digits="4"),
        _rule("blocked", "reputation", r"\[hm0[78]\]", r"\[cs01\]", digits="5"),
    ),
}
"""Rules of one receiver, asked before the general ones. The key is our name for the group of MX hosts."""

SAME: Mapping[str, str] = {
    **dict.fromkeys(("gmail", "googlemail"), "google"),
    **dict.fromkeys(("outlook", "hotmail", "live", "office365", "exchange online"), "microsoft"),
    **dict.fromkeys(("web.de", "webde"), "gmx"),
    **dict.fromkeys(("la poste", "la_poste"), "laposte"),
    "aol": "yahoo",
    "wanadoo": "orange",
    "apple": "icloud",
}
"""Other names that people have for a receiver, and ours."""

_UNPROVED: Meaning = ("blocked", "authentication")
_RATE: Meaning = ("throttle", "rate")
_LISTED: Meaning = ("blocked", "ip_listed")
_UNKNOWN: Meaning = ("hard_bounce", "unknown_user")

ENHANCED: Mapping[str, Meaning] = {
    "1.1": _UNKNOWN,
    "1.2": ("hard_bounce", "unknown_domain"),
    "1.3": ("hard_bounce", "bad_address"),
    "1.6": ("hard_bounce", "moved"),
    "1.7": ("fail", "sender_refused"),
    "1.8": ("fail", "sender_refused"),
    "1.10": ("hard_bounce", "null_mx"),
    "2.1": ("hard_bounce", "mailbox_disabled"),
    "2.2": ("fail", "mailbox_full"),
    "2.3": ("fail", "too_large"),
    "2.4": ("fail", "list_expansion"),
    "3.1": ("retry", "their_storage"),
    "3.2": ("retry", "not_accepting"),
    "3.4": ("fail", "too_large"),
    "4.6": ("fail", "loop"),
    "5.3": ("fail", "too_many_recipients"),
    "6.7": ("fail", "smtputf8"),
    "7.8": ("blocked", "credentials"),
    "7.9": ("blocked", "credentials"),
    "7.10": ("blocked", "tls_required"),
    "7.11": ("blocked", "tls_required"),
    "7.20": _UNPROVED,
    "7.21": _UNPROVED,
    "7.22": _UNPROVED,
    "7.23": _UNPROVED,
    "7.24": _UNPROVED,
    "7.25": ("blocked", "reverse_dns"),
    "7.26": _UNPROVED,
    "7.27": ("blocked", "sender_domain"),
    "7.28": _RATE,
    "7.29": _UNPROVED,
    "7.30": ("fail", "requiretls"),
}
"""RFC 5248's registry by subject and detail; the class is in the basic code anyway."""

ENHANCED_OF_RECEIVER: Mapping[str, Mapping[str, Meaning]] = {
    # Gmail gives some codes meanings of its own.
    "google": {
        "4.2.1": ("retry", "recipient_rate"),
        "4.7.0": _RATE,
        "7.27": _UNPROVED,
        "7.29": ("blocked", "tls_required"),
        "7.30": _UNPROVED,
        "7.31": _UNPROVED,
        "7.32": _UNPROVED,
    },
    "microsoft": {
        "5.4.1": _UNKNOWN,
        "5.5.0": _UNKNOWN,
        "5.1.10": _UNKNOWN,
        "4.7.500": _RATE,
        "4.7.650": _RATE,
        "4.7.651": _RATE,
        "4.7.652": _RATE,
        "5.7.509": _UNPROVED,
        "5.7.515": _UNPROVED,
        "5.7.606": _LISTED,
        "5.7.708": _LISTED,
    },
}
"""Whole codes, or subject and detail, of one receiver."""

SUBJECTS: Mapping[str, Meaning] = {
    "3": ("fail", "their_system"),
    "4": ("fail", "routing"),
    "5": ("fail", "protocol"),
    "6": ("fail", "content_refused"),
    "7": ("fail", "policy"),
}
"""By subject (RFC 3463 §3) when the detail is unknown. Subjects 1 and 2 go to the basic code."""

BASIC: Mapping[int, Meaning] = {
    421: ("retry", "host_closing"),
    450: ("retry", "mailbox_busy"),
    451: ("retry", "their_error"),
    452: ("retry", "their_storage"),
    454: ("retry", "credentials"),
    521: ("fail", "host_refuses_mail"),
    530: ("blocked", "credentials"),
    534: ("blocked", "credentials"),
    535: ("blocked", "credentials"),
    538: ("blocked", "tls_required"),
    551: ("hard_bounce", "moved"),
    552: ("fail", "mailbox_full"),
    556: ("hard_bounce", "null_mx"),
}

CLASS_OF: Mapping[str, str] = {
    "unknown_user": "user_unknown",
    "bad_address": "user_unknown",
    "moved": "user_unknown",
    "mailbox_disabled": "mailbox_disabled",
    "account_blocked": "mailbox_disabled",
    "mailbox_full": "mailbox_full",
    "unknown_domain": "host_unknown",
    "null_mx": "host_unknown",
    "host_refuses_mail": "host_unknown",
    "ip_listed": "blocked",
    "reputation": "blocked",
    "service_refused": "blocked",
    "refused_by_host": "blocked",
    "two_hours": "blocked",
    "policy": "blocked",
    "content_refused": "spam",
    "malware": "content",
    "form_refused": "content",
    "too_large": "size",
    "rate": "rate_limited",
    "recipient_rate": "rate_limited",
    "too_many_recipients": "rate_limited",
    "reconnect": "rate_limited",
    "greylisted": "temporary",
    "their_storage": "temporary",
    "their_error": "temporary",
    "mailbox_busy": "temporary",
    "not_accepting": "temporary",
    "host_closing": "temporary",
    "later": "temporary",
    "expired": "temporary",
    "unreachable": "temporary",
    "authentication": "auth",
    "reverse_dns": "auth",
    "tls_required": "auth",
    "credentials": "auth",
    "sender_domain": "auth",
    "requiretls": "auth",
}
"""Cause → class of reports; what is not named here is `temporary` after 4yz and `other` after 5yz."""

MEANING_OF_CLASS: Mapping[str, Meaning] = {
    "user_unknown": _UNKNOWN,
    "mailbox_disabled": ("hard_bounce", "mailbox_disabled"),
    "mailbox_full": ("fail", "mailbox_full"),
    "host_unknown": ("hard_bounce", "unknown_domain"),
    "blocked": ("blocked", "policy"),
    "spam": ("fail", "content_refused"),
    "content": ("fail", "form_refused"),
    "size": ("fail", "too_large"),
    "rate_limited": _RATE,
    "temporary": ("retry", "later"),
    "auth": _UNPROVED,
    "other": ("fail", "loop"),
}
"""What a class means where families of words told it (`word_families.toml`); the one `other` among them is a loop."""
