# ruff: noqa: E501 -- words are read better in one line than broken
"""The words of returned mail as data: layouts of programs, reasons beyond those of SMTP replies, and look-alikes.

All patterns are asked of lower-case text. Order matters: the first that holds decides.
"""

from __future__ import annotations

import re
from typing import NamedTuple

ADDRESS = r"[a-z0-9!#$%&*+/=?^_`{|}~-][a-z0-9!#$%&'*+/=?^_`{|}~.-]{0,63}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"


class Layout(NamedTuple):
    """How a program that writes no delivery-status tells of failure.

    here: found in its text. who: matches each failed address (group 1). delayed: it still tries.
    """

    name: str
    here: re.Pattern[str]
    who: re.Pattern[str]
    delayed: bool = False

    @property
    def anywhere(self) -> bool:
        """Do addresses count by where they stand to the words, and not by how their line looks?"""
        return self.who.pattern == _ANYWHERE


def _layout(name: str, here: str, who: str, *, delayed: bool = False) -> Layout:
    return Layout(name, re.compile(here), re.compile(who, re.MULTILINE), delayed)


_BRACKETED = rf"^[ \t]*<({ADDRESS})>"
_ALONE = rf"^[ \t]*<?({ADDRESS})>?:?[ \t]*$"
_LEADING = rf"^[ \t]*<?({ADDRESS})>?(?=[:;, \t]|$)"
_ANYWHERE = rf"<?({ADDRESS})>?"

LAYOUTS: tuple[Layout, ...] = (
    _layout(
        "delay notice",
        r"(?:still being retried|will (?:keep|continue) trying|(?:will|shall) be (?:retried|tried again)|has not (?:yet )?been delivered (?:after|for)|warning only"
        r"|this is a warning|do not need to (?:do anything|resend)|not yet been delivered|no action is required"
        r"|will (?:continue to|keep) (?:attempt|try)|(?:has been|is) postponed|has not yet been delivered"
        r"|message still undelivered|delivery attempts will continue|temporary problem delivering|temporarily deferred"
        r"|tentatives? de (?:remise|distribution) (?:se poursui|vont continuer)|wird weiter(?:hin)? versucht"
        r"|noch nicht zugestellt|nie zosta.a jeszcze|pas encore .t. (?:remis|distribu)|ancora (?:consegnat|recapitat)|a.n no se ha"
        r"|delivery is delayed|has ?n.t been delivered yet|will continue to be attempted|shall (?:try|retry)"
        r"|(?:remise|livraison) (?:est |a .t. )?(?:retard|diff.r)|verz.gert|continuer. a tentare|retrasad[oa]|entrega .{0,20}retras|consegna .{0,20}ritard)",
        _ANYWHERE,
        delayed=True,
    ),
    _layout("exim", r"this message was created automatically by mail delivery software", _ALONE),
    _layout("qmail", r"(?:this is the .{0,40}qmail-send program|i wasn't able to deliver your message)", _BRACKETED),
    _layout("postfix", r"this is the (?:mail system|postfix program|.{0,20}mail system) at host", _BRACKETED),
    _layout("sendmail", r"the following addresses had (?:permanent|fatal|delivery)", _LEADING),
    _layout("courier", r"running the courier mail server", _LEADING),
    _layout("smail", r"\|-+ failed addresses follow", rf"({ADDRESS})[ \t]*\.\.\."),
    _layout(
        "exchange",
        r"did not reach (?:some or all of )?the (?:intended|following) recipient",
        rf"^[ \t]*<?({ADDRESS})>?",
    ),
    _layout("mdaemon", r"failed address(?:es)?:", rf"failed address(?:es)?:[ \t]*<?({ADDRESS})>?"),
    _layout(
        "opensmtpd",
        r"an error (?:has )?occurred while (?:attempting|trying) to deliver",
        rf"^[ \t]*<?({ADDRESS})>?(?=:|[ \t]*$)",
    ),
    _layout("xmail", r"xmail bounce: rcpt=\[", rf"rcpt=\[({ADDRESS})\]"),
    _layout("google groups", r"the group you tried to contact", rf"contact \(({ADDRESS})\)"),
    _layout("lsmtp", r"^error-for:|\nerror-for:", rf"error-for:[ \t]*<?({ADDRESS})>?"),
    _layout("exchange", r"the following recipient\(?s?\)? (?:could|cannot|can't|can not)", _ANYWHERE),
    _layout("exchange", r"(?:couldn't be delivered|wasn't delivered|could not be delivered) to:?", _ANYWHERE),
    _layout("google", r"delivery to the following recipients? (?:has )?(?:failed|been delayed)", _LEADING),
    _layout(
        "google", r"your message (?:wasn't|was not|couldn't be|to .{1,80} has been) (?:delivered|blocked)", _ANYWHERE
    ),
    _layout("yahoo", r"sorry, we were unable to deliver your message", _BRACKETED),
    _layout("groupwise", r"message that you sent was undeliverable to the following", rf"\(?({ADDRESS})\)?"),
    _layout("notes", r"(?:user .{0,80}not listed in|delivery failure report)", _ANYWHERE),
    _layout("imail", r"(?:unknown user|user mailbox exceeds allowed size|invalid final delivery userid):", _ANYWHERE),
    _layout(
        "generic",
        r"(?:^|\n)[ \t-]*(?:failed|final|original|intended)?[ \t-]*recipients?(?: address)?(?:\(s\))?[ \t-]*(?::|-{2,})",
        _ANYWHERE,
    ),
    _layout(
        "list of addresses",  # a line for each, its reason on the next
        r"(?:^|\n)[ \t]*<?[^<>\s@:]{1,64}@[^<>\s@:]{1,255}>?[ \t]*:",
        rf"^[ \t]*<?({ADDRESS})>?[ \t]*:",
    ),
    _layout(
        "failure sentence",
        r"(?:could(?: not|n.t) be delivered|can(?:not|.t) be delivered|was(?: not|n.t) delivered|unable to deliver|undeliverable|not deliverable"
        r"|delivery (?:has )?failed|failed to deliver|returned to sender|permanent (?:fatal )?error"
        r"|(?:has |was |were )?not (?:been )?(?:able to (?:be )?)?deliver(?:ed)?\b|did not reach|delivery to the following"
        r"|deli?very problems?|delevery to|has been returned|(?:was|were) (?:automatically )?(?:rejected|returned)|mail failed"
        r"|failed because|no such user|user (?:is )?(?:unknown|not (?:known|found))|non-delivery report|invalid mailbox|not accepting mail"
        r"|n.a pas pu .tre (?:remis|distribu|d.livr|achemin|envoy)|impossible de (?:remettre|distribuer|d.livrer)"
        r"|.chec de (?:la )?(?:remise|distribution|livraison)|non (?:remis|distribu|d.livr)"
        r"|(?:nous|vous) est revenu|en retour avec l|nicht zugestellt|konnte nicht zustell|unzustellbar|nicht erreicht|no se (?:ha )?p(?:udo|odido) entregar|no ha podido entregarse"
        r"|non .{0,20}stato possibile (?:recapitare|consegnare)|n.o p.de ser entregue|(?:kon|kan) niet worden (?:bezorgd|afgeleverd)"
        r"|.chec de (?:la )?remise|ne (?:peut|peuvent) pas .tre (?:remis|atteint|joint)|introuvable"
        r"|(?:recapito|consegna) non riuscit|non .{0,20}(?:potuto|pu.) essere (?:consegnato|recapitato)|non recapitabile"
        r"|error (?:en|de) la? ?entrega|no entregado|falha na entrega|n.o foi (?:poss.vel entregar|entregue)"
        r"|nie m.g.a? zosta. dostarczon|niedostarczon|kunde inte levereras|kunne ikke leveres|nebyla doru.ena|teslim edilemedi"
        r"|не может быть (?:доставлено|отправлено)|не (?:удалось )?доставлен|не удалось доставить"
        r"|无法(?:发送|投递|送达)|退信|配信できません|送信できません|could not receive your mail)",
        _ANYWHERE,
    ),
)

SENDERS = re.compile(
    r"mailer-?daemon|postmaster|mail ?delivery|mail administrator|mdaemon|maildelivery|bounce|no-?reply.*deliver"
    r"|system administrator|administrateur|microsoftexchange|mail system|mail.?service|mail.?server|e-?mail.?(?:system|gateway)"
    r"|antivirus|mail gateway|smtp gateway"
)
SUBJECTS = re.compile(
    r"undeliver|delivery (?:status|failure|notification|problem|report|error|has failed)|returned mail|mail delivery"
    r"|failure notice|delivery failed|non.?delivery|could not be delivered|not delivered|delayed|mail could not|rejected"
    r"|warning: .*(?:delayed|could not|undelivered|unknown)|user unknown|failed mail|mail failed|processing error|delivery warning"
    r"|failure delivery|nicht .{0,20}zustell|не доставлен|недоставлен|投递|退信|配信|message (?:delayed|not delivered|status)|bounce"
    r"|non remis|.chec|non distribu|notification d.{0,3}.tat|message non|retour|unzustellbar|zustellung|nicht zugestellt"
    r"|n.o foi poss.vel|kunde inte|kunne ikke|teslim edilemedi|message .{0,20}(?:blocked|expired)|не может быть|не удалось|niedostarczon|non recapit|no se puede entregar|nicht erreicht|zustellen|mail (?:system )?error"
    r"|no se ha podido|no entregad|devuelto|mancata consegna|ritardat|retrasad|verz.gert|livraison|impossibile|n.o entregue|onbestelbaar|niet bezorgd"
)
STRONG = re.compile(r"(?:^|[<\s\"])(?:mailer-?daemon|postmaster|mdaemon|mail-daemon|mail\.delivery\.system)\b")
"""Senders that write of little else: one of them counts as two signs."""

PERSON = re.compile(r"(?:^|[<\s\"])postmaster\b")
"""Among them one who may be a person, or send reports: where nothing else speaks for it, only a program's own words count."""

NOT_WHO = re.compile(
    r"(?:^|\n)[ \t>]*(?:to|cc|from|sender|reply-to|sent|subject)[ \t]*:[^\n]*$|(?:\bfrom|\bcontact|\bmail to|\btry)[ \t]+<?$"
)
"""What stands before an address that is told, but did not fail."""

TO_LINE = re.compile(r"(?:^|\n)[ \t>]*to[ \t]*:[^\n]*$")
"""The line of a returned header that names who was written to: asked where nothing else names anybody."""

OLD_ADDRESS = re.compile(rf"(?:originally addressed to|original(?:ly)? (?:recipient|addressee))[: \t]+<?({ADDRESS})>?")
"""The address that was written to, where the one that failed is where its mail was sent on to. What was expanded may be
a list, whose other people are well: it is not meant here."""

ORIGINAL = re.compile(
    r"^(?:-{2,}[ \t]*(?:this is a copy of|the (?:header|body|original)|original|undelivered|below|returned|start of|enclosed"
    r"|unsent|a copy of|below this line|forwarded|message d.origine|message original|transcript of session)[^\n]*"
    r"|below (?:this line )?is a copy of|included is a copy of|original message (?:follows|headers|details)"
    r"|message headers follow|your (?:original )?message follows|reporting-mta:|received: from |return-path: <)",
    re.MULTILINE,
)
"""Where the returned message begins: addresses behind it are not those that failed."""

AUTO_SUBJECTS = re.compile(
    r"^(?:\[[^\]]*\] ?)?(?:(?:re|aw|tr|sv|antw|rif): ?)*(?:auto(?:matic)?[ -]?(?:reply|response|answer|respon)"
    r"|autoreply|auto:|automatische? |out of (?:the )?office|ooo\b|vacation|away from|on (?:holiday|leave|vacation)|i am (?:away|out)"
    r"|r.ponse automatique|absen(?:ce|t)\b|absence du bureau|en cong.s|message d.absence|accus. de r.ception"
    r"|abwesenheit|automatische antwort|respuesta autom|fuera de (?:la )?oficina|risposta automatica|fuori (?:sede|ufficio)"
    r"|自动回复|自動回覆|自動応答|自動返信|자동 ?(?:응답|회신)|автоответ|autoodpowied|automatick. odpov|automatikus v.lasz|otomatik yan.t|resposta autom|afwezig|automatisch antwoord|autosvar|poissa|ticket received|we have received|thank you for (?:your|contact))"
)
NO_BOUNCE_SUBJECTS = re.compile(
    r"^(?:read:|lu ?:|gelesen:|le.do:|letto:|accepted:|declined:|tentative:|accept. ?:|refus. ?:|report domain:|canceled:"
    r"|your campaign|not read:|non lu ?:|tr ?: |fwd?: |wg: )"
)

REASONS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), action, cause)
    for pattern, action, cause in (
        (
            r"(?:retry|delivery) time(?:out)? (?:not reached|exceeded|expired)|time ?out exceeded|(?:delivery )?time expired"
            r"|expired|(?:for|after) (?:more than )?\d+ (?:hours|days)|gave up|giving up|too long|d.lai .{0,20}(?:d.pass|expir)"
            r"|maximum (?:retries|queue)",
            "fail",
            "expired",
        ),
        (
            r"connection (?:timed out|refused|reset|closed|dropped|lost)|lost connection|timed? ?out|no route to host"
            r"|network (?:is )?unreachable|could not connect|couldn't establish an smtp connection|host (?:is )?unreachable"
            r"|no answer from|connect to .{0,80}(?:refused|failed)|server (?:is )?(?:down|not respond)",
            "fail",
            "unreachable",
        ),
        (
            r"unrouteable (?:mail )?domain|all relevant mx records|name service error|host (?:or domain name )?not found"
            r"|host unknown|unknown host|couldn't find any host|domain (?:name )?(?:not found|does not exist|lookup|unknown)"
            r"|illegal host|dns .{0,40}(?:nxdomain|not exist|fail)|nxdomain|domaine .{0,30}(?:inconnu|introuvable|n.existe)"
            r"|record indicated no smtp service|has no mail exchanger|no mx|null mx|no dns record|domain .{0,40}could not be resolved|domain .{0,60}couldn't be found",
            "hard_bounce",
            "unknown_domain",
        ),
        (
            r"couldn't be found|wasn't found at|address not found|no mailbox here|adress(?:e)? introuvable|bo.te .{0,30}inexistante"
            r"|n.est pas (?:valide|reconnu)|empf.nger .{0,30}(?:unbekannt|nicht gefunden)|existiert nicht|usuario desconocido"
            r"|no existe|utente (?:sconosciuto|inesistente)|onbekende gebruiker|user doesn.t have|not our customer"
            r"|no such (?:person|mailbox)|not found in directory|not listed in|recipnotfound|resolver\.adr",
            "hard_bounce",
            "unknown_user",
        ),
        (
            r"(?:adresse?|adres|direcci.n|indirizzo|endere.o)[^.\n]{0,60}(?:introuvable|niet gevonden|non trovat|no encontrad|n.o encontrad)"
            r"|no se encontr.|non .{0,10}stato trovato|niet gevonden|nicht gefunden|n.o foi poss.vel encontrar|finns inte|findes ikke|ei l.ydy|neexistuje|bulunamad|(?:takie |this )?konto nie istnieje"
            r"|не найден|не существует|不存在|存在しません|n.a pas .t. trouv|inexist[ae]nte?\b|empf.{1,2}nger .{0,30}existiert nicht",
            "hard_bounce",
            "unknown_user",
        ),
        (
            r"speicherplatz|postfach .{0,20}voll|buz.n .{0,20}lleno|casella .{0,20}piena|mailbox vol|bo.te .{0,40}pleine"
            r"|(?:casella|cassetta) .{0,30}piena|ящик .{0,30}переполнен|邮箱已满|mailbox .{0,20}overloaded"
            r"|.berf.{1,2}llt|no (?:room|space) (?:left|available)|exceed.{0,20}(?:disk )?space|storage quota|quota .{0,20}(?:d.pass|exced|super)|is (?:over|above) (?:its )?quota|quotaexceeded|mailbox exceeds",
            "fail",
            "mailbox_full",
        ),
    )
)
"""What returned mail says and SMTP replies do not: asked after the words of replies."""
