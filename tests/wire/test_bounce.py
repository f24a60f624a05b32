# ruff: noqa: E501 -- samples are read better one a line
"""Returned mail, as many programs write it, and what only looks like it. The samples are our own words in their shapes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.bounce import explain

US = "bounce@lettre.boutique.example"


class Case(NamedTuple):
    name: str
    raw: str
    type: str
    recipients: list[tuple[str, str, bool]]  # address, class, hard


def dsn(*blocks: str, subject: str = "Undelivered Mail Returned to Sender", text: str = "See below.") -> str:
    groups = "\n\n".join(("Reporting-MTA: dns; mx.poste.example", *blocks))
    return (
        f"From: MAILER-DAEMON@mx.poste.example\nTo: {US}\nSubject: {subject}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain\n\n{text}\n--b\nContent-Type: message/delivery-status\n\n{groups}\n\n"
        "--b\nContent-Type: text/rfc822-headers\n\nFrom: zoe@boutique.example\nTo: luc@poste.example\nSubject: Nouveautés\n--b--\n"
    )


def block(address: str, action: str, status: str, diagnostic: str = "") -> str:
    said = f"\nDiagnostic-Code: smtp; {diagnostic}" if diagnostic else ""
    return f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}{said}"


def plain(body: str, *, subject: str, sender: str = "MAILER-DAEMON@mx.poste.example", more: str = "") -> str:
    return f"Return-Path: <>\nFrom: {sender}\nTo: {US}\nSubject: {subject}\n{more}\n{body}\n"


RETURNED = "\n--- Below this line is a copy of the message.\n\nFrom: zoe@boutique.example\nTo: other@ailleurs.example\n"

CASES = [
    Case("dsn, unknown", dsn(block("luc@poste.example", "failed", "5.1.1", "550 5.1.1 <luc@poste.example>: Recipient address rejected: User unknown")), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("dsn, full", dsn(block("luc@poste.example", "failed", "5.2.2", "552 5.2.2 The email account that you tried to reach is over quota")), "bounce", [("luc@poste.example", "mailbox_full", False)]),
    Case("dsn, disabled", dsn(block("luc@poste.example", "failed", "5.2.1", "550 5.2.1 The account has been disabled")), "bounce", [("luc@poste.example", "mailbox_disabled", True)]),
    Case("dsn, full with the code of unknown", dsn(block("luc@orange.fr", "failed", "5.1.1", "552 5.1.1 OFR_417 bal pleine")), "bounce", [("luc@orange.fr", "mailbox_full", False)]),
    Case("dsn, no domain", dsn(block("luc@nulle.example", "failed", "5.4.4", "Host or domain name not found. Name service error for name=nulle.example type=A: Host not found")), "bounce", [("luc@nulle.example", "host_unknown", True)]),
    Case("dsn, expired", dsn(block("luc@lent.example", "failed", "4.4.1", "connect to mx.lent.example[192.0.2.5]:25: Connection timed out")), "bounce", [("luc@lent.example", "temporary", False)]),
    Case("dsn, listed", dsn(block("luc@poste.example", "failed", "5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org")), "bounce", [("luc@poste.example", "blocked", False)]),
    Case("dsn, listed though unknown is said", dsn(block("luc@poste.example", "failed", "5.1.1", "550 5.1.1 user unknown, your IP is on a block list")), "bounce", [("luc@poste.example", "blocked", False)]),
    Case("dsn, spam", dsn(block("luc@poste.example", "failed", "5.7.1", "550 5.7.1 This message looks like spam and was rejected")), "bounce", [("luc@poste.example", "spam", False)]),
    Case("dsn, size", dsn(block("luc@poste.example", "failed", "5.3.4", "552 5.3.4 Message size exceeds fixed limit")), "bounce", [("luc@poste.example", "size", False)]),
    Case("dsn, DMARC", dsn(block("luc@poste.example", "failed", "5.7.26", "550 5.7.26 Unauthenticated email from boutique.example is not accepted due to its DMARC policy")), "bounce", [("luc@poste.example", "auth", False)]),
    Case("dsn, rate", dsn(block("luc@poste.example", "failed", "4.7.28", "421 4.7.28 Our system has detected an unusual rate of mail")), "bounce", [("luc@poste.example", "rate_limited", False)]),
    Case("dsn, two people", dsn(block("luc@poste.example", "failed", "5.1.1", "550 no such user"), block("lea@poste.example", "failed", "5.2.2", "452 mailbox full")), "bounce", [("luc@poste.example", "user_unknown", True), ("lea@poste.example", "mailbox_full", False)]),
    Case("dsn, original recipient wins", dsn("Original-Recipient: rfc822;luc@poste.example\n" + block("l.martin@dedans.example", "failed", "5.1.1", "550 user unknown")), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("dsn, no action", dsn("Final-Recipient: rfc822;luc@poste.example\nStatus: 5.1.1"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("dsn, delayed", dsn(block("luc@poste.example", "delayed", "4.4.1", "connect to mx: Connection refused"), subject="Delayed Mail (still being retried)"), "delayed", [("luc@poste.example", "temporary", False)]),
    Case("dsn, delayed though it says unknown", dsn(block("luc@poste.example", "delayed", "4.1.1", "450 4.1.1 user unknown in relay table")), "delayed", [("luc@poste.example", "user_unknown", False)]),
    Case("dsn, relayed", dsn(block("luc@poste.example", "relayed", "2.0.0", "250 OK"), subject="Successful Mail Delivery Report"), "delivered", [("luc@poste.example", "other", False)]),
    Case("dsn without its container", plain("x", subject="failure").replace("\n\n", "\nContent-Type: multipart/mixed; boundary=b\n\n", 1).replace("\nx\n", "\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns;x\n\nFinal-Recipient: RFC822; luc@poste.example\nAction: Failed\nStatus: 5.1.1 (unknown)\n--b--\n"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("exim", plain("This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  luc@poste.example\n    SMTP error from remote mail server after RCPT TO:<luc@poste.example>:\n    550 5.1.1 Unknown recipient\n" + RETURNED, subject="Mail delivery failed: returning message to sender", more="X-Failed-Recipients: luc@poste.example\nAuto-Submitted: auto-replied\n"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("exim, unrouteable", plain("This message was created automatically by mail delivery software.\n\nThe following address(es) failed:\n\n  luc@nulle.example\n    all relevant MX records point to non-existent hosts\n" + RETURNED, subject="Mail delivery failed", more="X-Failed-Recipients: luc@nulle.example\n"), "bounce", [("luc@nulle.example", "host_unknown", True)]),
    Case("exim, expired", plain("This message was created automatically by mail delivery software.\n\n  luc@lent.example\n    host mx.lent.example [192.0.2.9]\n    Connection timed out: retry timeout exceeded\n" + RETURNED, subject="Mail delivery failed"), "bounce", [("luc@lent.example", "temporary", False)]),
    Case("exim, warning", plain("This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours on the queue.\n\nThe address to which the message has not yet been delivered is:\n\n  luc@poste.example\n    Delay reason: Connection refused\n\nNo action is required on your part. Delivery attempts will continue.\n", subject="Warning: message 1abc delayed 24 hours"), "delayed", [("luc@poste.example", "temporary", False)]),
    Case("qmail", plain("Hi. This is the qmail-send program at mx.poste.example.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<luc@poste.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n" + RETURNED, subject="failure notice"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("qmail, far host", plain("Hi. This is the qmail-send program at mx.poste.example.\nI'm afraid I wasn't able to deliver your message.\n\n<luc@loin.example>:\n192.0.2.7 failed after I sent the message.\nRemote host said: 554 5.7.1 Message rejected: content looks like spam\n" + RETURNED, subject="failure notice"), "bounce", [("luc@loin.example", "spam", False)]),
    Case("postfix, words alone", plain("This is the mail system at host mx.poste.example.\n\nI'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients. It's attached below.\n\n<luc@poste.example>: host mail.poste.example[192.0.2.4] said: 550 5.1.1\n    <luc@poste.example>: Recipient address rejected: User unknown in virtual\n    mailbox table (in reply to RCPT TO command)\n", subject="Undelivered Mail Returned to Sender"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("sendmail", plain("The original message was received at Mon, 2 Nov 2026\n\n   ----- The following addresses had permanent fatal errors -----\n<luc@poste.example>\n    (reason: 550 5.1.1 <luc@poste.example>... User unknown)\n\n   ----- Transcript of session follows -----\n... while talking to mx:\n", subject="Returned mail: see transcript for details"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("exchange", plain("Your message did not reach some or all of the intended recipients.\n\n      Subject:  Nouveautés\n      Sent:     2/11/2026 10:00\n\nThe following recipient(s) cannot be reached:\n\n      luc@bureau.example on 2/11/2026 10:01\n            The e-mail account does not exist at the organization this message was sent to.\n            <mx.bureau.example #5.1.1>\n", subject="Undeliverable: Nouveautés", sender="System Administrator <postmaster@bureau.example>"), "bounce", [("luc@bureau.example", "user_unknown", True)]),
    Case("gmail", plain("** Address not found **\n\nYour message wasn't delivered to luc@poste.example because the address couldn't be found, or is unable to receive mail.\n\nThe response from the remote server was:\n550 5.1.1 no such user\n", subject="Delivery Status Notification (Failure)", sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("yahoo", plain("Sorry, we were unable to deliver your message to the following address.\n\n<luc@poste.example>:\nRemote host said:\n552 5.2.2 mailbox is full [RCPT_TO]\n", subject="Failure Notice", sender="MAILER-DAEMON@yahoo.com"), "bounce", [("luc@poste.example", "mailbox_full", False)]),
    Case("groupwise", plain("The message that you sent was undeliverable to the following:\n\n\tluc@bureau.example (user not found)\n", subject="Message status - undeliverable", sender="Mail System Administrator <postmaster@bureau.example>"), "bounce", [("luc@bureau.example", "user_unknown", True)]),
    Case("french", plain("Bonjour,\n\nVotre message n'a pas pu être remis au destinataire suivant :\n\nluc@poste.example : boîte aux lettres pleine\n", subject="Échec de la remise du message", sender="Service de messagerie <postmaster@poste.example>", more="Content-Type: text/plain; charset=utf-8\n"), "bounce", [("luc@poste.example", "mailbox_full", False)]),
    Case("german", plain("Ihre Nachricht an <luc@post.example> konnte nicht zugestellt werden.\nGrund: Empfänger unbekannt\n", subject="Unzustellbar: Neues", sender="postmaster@post.example", more="Content-Type: text/plain; charset=utf-8\n"), "bounce", [("luc@post.example", "user_unknown", True)]),
    Case("html alone", plain("<html><body><p>Delivery has failed to these recipients:</p><p><b>luc@bureau.example</b><br>The email address you entered couldn't be found.</p></body></html>", subject="Undeliverable: hello", sender="Microsoft Outlook <MicrosoftExchange329e@bureau.example>", more="Content-Type: text/html\n"), "bounce", [("luc@bureau.example", "user_unknown", True)]),
    Case("out of office", "From: luc@poste.example\nTo: bounce@lettre.boutique.example\nSubject: Réponse automatique : absent\nAuto-Submitted: auto-replied\n\nJe suis absent. Écrivez à lea@poste.example; sinon le message sera perdu: 550.\n", "auto_reply", []),
    Case("out of office, by its subject", "From: luc@poste.example\nSubject: Out of Office Re: News\n\nI am away. undeliverable until Monday: lea@poste.example\n", "auto_reply", []),
    Case("vacation, null path", "Return-Path: <>\nFrom: luc@poste.example\nSubject: Abwesenheitsnotiz\nPrecedence: auto_reply\n\nIch bin nicht da.\n", "auto_reply", []),
    Case("receipt", "From: luc@poste.example\nSubject: Read: Nouveautés\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822;luc@poste.example\nDisposition: manual-action/MDN-sent-manually; displayed\n--b--\n", "not_bounce", []),
    Case("a forwarded bounce", "From: zoe@boutique.example\nSubject: Fwd: regarde\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/plain\n\nregarde\n--c\nContent-Type: message/rfc822\n\n" + dsn(block("luc@poste.example", "failed", "5.1.1", "550 user unknown")) + "--c--\n", "not_bounce", []),
    Case("a person writes about a bounce", "From: luc@poste.example\nSubject: question\n\nMy mail to lea@poste.example came back: 550 user unknown. Could not be delivered. Why?\n", "not_bounce", []),
    Case("dmarc report", "From: noreply-dmarc@poste.example\nSubject: Report domain: boutique.example Submitter: poste.example\nContent-Type: application/gzip\n\nx\n", "not_bounce", []),
    Case("calendar", "From: luc@poste.example\nSubject: Accepted: Salon\nContent-Type: text/calendar; method=REPLY\n\nBEGIN:VCALENDAR\n", "not_bounce", []),
    Case("complaint", "From: feedback@poste.example\nSubject: FW: Nouveautés\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\nContent-Type: text/plain\n\nabuse\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: X/1\nVersion: 1\nOriginal-Rcpt-To: luc@poste.example\n--b\nContent-Type: message/rfc822\n\nTo: redacted@poste.example\nSubject: Nouveautés\n\nx\n--b--\n", "feedback", [("luc@poste.example", "spam", True)]),
    Case("complaint, not spam", "From: feedback@poste.example\nSubject: x\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: not-spam\nVersion: 1\n--b\nContent-Type: message/rfc822\n\nTo: luc@poste.example\n\nx\n--b--\n", "feedback", [("luc@poste.example", "other", False)]),
    Case("a newsletter", "From: info@ailleurs.example\nSubject: Nos livraisons : ne ratez rien\n\nVotre colis n'a pas pu être livré ? Écrivez à sav@ailleurs.example.\n", "not_bounce", []),
    Case('kerio', 'From: <postmaster@kerio.example>\nTo: <bounce@lettre.boutique.example>\nSubject: Delivery Status Notification (Failure)\nReturn-Path: <>\n\nYour message did not reach the following recipient:\n    luc@kerio.example\nReason: 550 5.1.1 No such user here\n', 'bounce', [('luc@kerio.example', 'user_unknown', True)]),
    Case('mdaemon', 'From: MDaemon at bureau.example <MDaemon@bureau.example>\nTo: bounce@lettre.boutique.example\nSubject: Permanent Delivery Failure\nX-MDaemon-Deliver-To: x\n\nThe attached message had PERMANENT fatal delivery errors!\n\nAfter one or more unsuccessful delivery attempts the attached message has\nbeen removed from the mail queue on this server.\n\nFailed address: luc@loin.example\n\n--- Session Transcript ---\n --> RCPT To:<luc@loin.example>\n <-- 550 5.1.1 unknown user\n', 'bounce', [('luc@loin.example', 'user_unknown', True)]),
    Case('o365', "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.example>\nTo: bounce@lettre.boutique.example\nSubject: Undeliverable: Nouveautes\nContent-Type: text/html\n\n<html><body><h2>Your message to luc@contoso.example couldn't be delivered.</h2><p>luc wasn't found at contoso.example.</p><p>550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient luc@contoso.example not found by SMTP address lookup</p></body></html>\n", 'bounce', [('luc@contoso.example', 'user_unknown', True)]),
    Case('orange', "Return-Path: <>\nFrom: Postmaster <postmaster@orange.fr>\nTo: bounce@lettre.boutique.example\nSubject: Echec de distribution\n\nBonjour, Le message n'a pas pu etre remis a <luc@orange.fr>.\nAdresse d au moins un destinataire invalide. Invalid recipient. OFR204_416 [416]\n", 'bounce', [('luc@orange.fr', 'user_unknown', True)]),
    Case('simple421', 'From: "Mail Delivery System" <Mailer-Daemon@isp.example>\nTo: bounce@lettre.boutique.example\nSubject: Mail delivery deferred\n\nYour message to luc@isp.example has been temporarily deferred. We will continue trying for 3 days.\n', 'delayed', [('luc@isp.example', 'rate_limited', False)]),
    Case('lotus', 'From: Postmaster@notes.example\nTo: bounce@lettre.boutique.example\nSubject: DELIVERY FAILURE: User luc (luc@notes.example) not listed in Domino Directory\n\nYour message\n\n  Subject: Nouveautes\n\nwas not delivered to:\n\n  luc@notes.example\n\nbecause:\n\n  User luc (luc@notes.example) not listed in Domino Directory\n', 'bounce', [('luc@notes.example', 'user_unknown', True)]),
    Case('hmail', 'From: mailer-daemon@h.example\nTo: bounce@lettre.boutique.example\nSubject: Message undeliverable: Nouveautes\n\nYour message did not reach some or all of the intended recipients.\n\n   Sent: Mon\n   Subject: Nouveautes\n\nThe following recipient(s) could not be reached:\n\nluc@loin.example\n   Error Type: SMTP\n   Remote server (192.0.2.3) issued an error.\n   hMailServer sent: RCPT TO:<luc@loin.example>\n   Remote server replied: 552 5.2.2 mailbox quota exceeded\n', 'bounce', [('luc@loin.example', 'mailbox_full', False)]),
    Case('symantec', 'Return-Path: <>\nFrom: postmaster@filtre.example\nTo: bounce@lettre.boutique.example\nSubject: Mail delivery failed: content rejected\n\nThe message to <luc@bureau.example> was not delivered: it contains a virus (Eicar).\n', 'bounce', [('luc@bureau.example', 'content', False)]),
    Case('zimbra', "Return-Path: <>\nFrom: MAILER-DAEMON@zimbra.example (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\nTo: bounce@lettre.boutique.example\n\nThis is the mail system at host zimbra.example.\n\nI'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients.\n\n                   The mail system\n\n<luc@zimbra.example> (expanded from <list@zimbra.example>): permission denied. Command output: local: overquota\n", 'bounce', [('luc@zimbra.example', 'mailbox_full', False)]),
    Case('challenge', 'From: luc@isp.example\nTo: bounce@lettre.boutique.example\nSubject: Re: Nouveautes\nX-Autoresponder: boxbe\n\nPlease confirm you are human before your message is delivered to luc@isp.example\n', 'auto_reply', []),
    Case('mailman', "From: mailman-bounces@listes.example\nTo: bounce@lettre.boutique.example\nSubject: Your message to Annonces awaits moderator approval\nPrecedence: bulk\nAuto-Submitted: auto-generated\n\nYour mail to 'Annonces' is being held until the list moderator can review it.\n", 'auto_reply', []),
    Case('autoresp_nohdr', 'From: Service client <contact@magasin.example>\nTo: bounce@lettre.boutique.example\nSubject: Nous avons bien recu votre message\n\nMerci de votre message, nous vous repondrons sous 48 h. Ticket 550123.\n', 'not_bounce', []),
    Case("smail", plain("|------- Message log follows: -------|\n no valid recipients were found for this message\n|------- Failed addresses follow: ------|\n luc@nulle.example ... unknown host\n|------- Message text follows: --------|\nTo: lea@poste.example\n", subject="mail failed, returning to sender"), "bounce", [("luc@nulle.example", "host_unknown", True)]),
    Case("a list server's relay", plain("An error was detected while processing the enclosed message.\n\n--> Error description:\nError-for:  luc@poste.example\nError-Code: 0\nError-Text: mx said: 550 no such user\n\n----- Original message -----\n", subject="Undelivered mail", sender="postmaster@listes.example"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("an old exchange", plain("Your message\n\n  To:      lettre@listes.example\n  Subject: Nouveautes\n\ndid not reach the following recipient(s):\n\nc=FR;a= ;p=BUREAU;o=Sud;dda:SMTP=luc@bureau.example; on Fri, 2 Oct 2026\n    The recipient name is not recognized\n", subject="Undeliverable: Nouveautes", sender="System Administrator <postmaster@bureau.example>"), "bounce", [("luc@bureau.example", "user_unknown", True)]),
    Case("only the returned line names him", plain("Your message\n\nTo:\tLuc <luc@poste.example>\nSubj:\tNouveautes\n\nhas encountered a delivery problem.\nReason: Spam\nThe message seems to be spam and was not delivered to the recipient.\n", subject="Non delivery report: 5.9.8 (Spam)", sender="postmaster@poste.example"), "bounce", [("luc@poste.example", "spam", False)]),
    Case("the reason in the words for people", dsn(block("luc@poste.example", "failed", "5.0.0"), text="Failed to deliver to luc@poste.example\n account is full (quota exceeded)"), "bounce", [("luc@poste.example", "mailbox_full", False)]),
    Case("rejected by disposition", "From: Mail Delivery Subsystem <postmaster@poste.example>\nSubject: Automatically rejected mail\nAuto-Submitted: auto-replied (rejected)\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\nContent-Type: text/plain\n\nYour message to <luc@poste.example> was automatically rejected:\nQuota exceeded\n--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; luc@poste.example\nDisposition: automatic-action/MDN-sent-automatically; deleted\n--b--\n", "bounce", [("luc@poste.example", "mailbox_full", False)]),
    Case("a report passed on by a gateway", "From: postmaster@passerelle.example\nTo: x@lettre.boutique.example\nSubject: Delivery Status Notification (Failure)\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: message/rfc822\n\n" + dsn(block("luc@poste.example", "failed", "5.1.1", "550 user unknown")) + "--c--\n", "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("boundaries that are broken", plain("This is the mail system at host mx.poste.example.\n\n<luc@poste.example>: host mx said: 550 5.1.1 user unknown\n", subject="Undelivered Mail Returned to Sender", more="Content-Type: multipart/report; report-type=delivery-status\n"), "bounce", [("luc@poste.example", "user_unknown", True)]),
    Case("who was not asked is named too", plain("Your mail to the following recipients could not be delivered because they are not accepting mail from lettre@listes.example:\n  luc@poste.example\n", subject="Mail Delivery Problem"), "bounce", [("luc@poste.example", "other", False)]),
    Case("an address in apostrophes", plain("The following message, addressed to 'luc@poste.example',\nfailed because it has not been collected after 30 days\n", subject="Mail delivery failure"), "bounce", [("luc@poste.example", "temporary", False)]),
    Case("postponed", plain("This is an advisory-only email.\nDelivery of email to this address \"luc@poste.example\" has been postponed due to a full mailbox.\nWe will continue to try to deliver your message over the next few days.\n", subject="Mail Delivery Warning", sender="postmaster@poste.example"), "delayed", [("luc@poste.example", "mailbox_full", False)]),
    Case("only the library knows it", "From: admin@bureau.example\nTo: bounce@lettre.boutique.example\nSubject: Non-Delivery: Nouveautes\n\n--- Non-Delivery Report ---\nThe email below could not be delivered to the following user:\n\n\"luc@bureau.example\" <luc@bureau.example>\n\nOld message:\n\nx\n", "bounce", [("luc@bureau.example", "other", False)]),
    Case("a person answers a returned mail", "From: luc@poste.example\nTo: zoe@boutique.example\nSubject: Re: Undeliverable: Nouveautes\n\nBonjour, lea@poste.example marche de nouveau, l'adresse ancienne n'existe pas (user unknown).\n", "not_bounce", []),
    Case("a parcel", "From: Livraison <no-reply@colis.example>\nTo: zoe@boutique.example\nSubject: Your delivery: we could not find you\n\nYour parcel could not be delivered to the address. Write to sav@colis.example.\n", "not_bounce", []),
    Case("a postmaster writes", "From: Luc, postmaster <luc@bureau.example>\nTo: zoe@boutique.example\nSubject: votre serveur\n\nBonjour, pouvez-vous regarder vos journaux? Ecrivez a lea@bureau.example.\n", "not_bounce", []),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_who_was_not_reached_and_why(case: Case, ends: str) -> None:
    found = explain(case.raw.replace("\n", ends).encode())
    told = [(one.recipient, one.kind, one.hard) for one in found.recipients]
    assert (found.type, told) == (case.type, case.recipients), found


@given(st.binary(max_size=400))
def test_any_octets_get_an_answer(raw: bytes) -> None:
    whole = dsn(block("luc@poste.example", "failed", "5.1.1", "550 user unknown")).encode()
    for one in (
        raw,
        b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n" + raw,
        whole[: len(raw)] + raw + whole,
    ):
        assert explain(one).rule


@pytest.mark.parametrize(
    "hostile", ["<", "a@", "a.a@", "could not be delivered to a@b", "----- the original ", "\n\n "]
)
def test_what_a_hostile_letter_costs_grows_with_its_length_only(hostile: str) -> None:
    def seconds(times: int) -> float:
        raw = plain("The following addresses had fatal errors " + hostile * times, subject="failure notice").encode()
        began = time.process_time()
        explain(raw)
        return time.process_time() - began

    few = min(seconds(2_000) for _ in range(3))
    assert seconds(8_000) < 10 * max(few, 0.01), "four times the length, never sixteen times the work"


def test_the_command_line_explains_files_and_replies(tmp_path: Path) -> None:
    files = []
    for number, case in enumerate(CASES[:5]):
        files.append(tmp_path / f"{number}.eml")
        files[-1].write_text(case.raw)
    command = [sys.executable, "-m", "envol.run.cli"]
    said = subprocess.run([*command, "mail", "explain", *map(str, files)], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["bounce"] * 5 and lines[0]["recipients"] == [
        {
            "recipient": "luc@poste.example",
            "action": "hard_bounce",
            "status": "5.1.1",
            "hard": True,
            "class": "user_unknown",
        }
    ]
    gone = subprocess.run([*command, "mail", "explain", str(tmp_path / "no")], capture_output=True, text=True)
    assert gone.returncode == 1 and "cannot be read" in gone.stdout
    given = '{"code": 550, "enhanced": "5.1.1", "text": "user unknown"}\n{"code": "x"}\n{"code": 421, "text": "rate limit", "stage": "connect"}\n'
    told = subprocess.run([*command, "reply", "explain"], input=given, capture_output=True, text=True, check=True)
    first, wrong, last = [json.loads(line) for line in told.stdout.splitlines()]
    assert first == {"action": "hard_bounce", "class": "user_unknown", "rule": "words: unknown_user"}
    assert "Not a reply" in wrong["error"] and (last["action"], last["class"]) == ("throttle", "rate_limited")


def test_a_detector_that_stumbles_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    explain(b"From: \r\nTo: b@lettre.example\r\nSubject: Returned mail\r\nReturn-Path: <>\r\n\r\nIt came back.\r\n")
    assert not [one for one in caplog.records if one.name == "flufl.bounce"]
