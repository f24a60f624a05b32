"""Parsers against what was nearly right: small seeds of our own, and thousands of mutants of them.

Each answers every input within two seconds and 50 MB, by its own refusal at worst. What once did not stays in
`tests/mail/seeds/<parser>`, is tried first for ever and mutated with the others: a failing run writes it there.
`make fuzz` tries many more, of another chance each time its FACTOR is another.
"""

from __future__ import annotations

import gzip
import json
import random
import time
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from envol.wire import dkim_verify, dmarc_report, tls_report, unpack
from envol.wire.address import AddressError, normalise
from envol.wire.bounce import explain
from envol.wire.fraud import judge, letter_of
from envol.wire.message.headers import Mailbox
from envol.wire.message.passed_on import Unreadable, pass_on
from envol.wire.message.read import read
from envol.wire.message.seven_bit import seven_bits
from envol.wire.message.submit import Unacceptable, read_submission
from envol.wire.smtp import client as c
from envol.wire.smtp import server as s
from envol.wire.smtp.grammar import crlf_only, reply
from envol.wire.smtp.replies import classify
from tests.examples import CHEAP, examples
from tests.wire.fraud_letters import letters
from tests.wire.returned_letters import bounces
from tests.wire.test_reports import record
from tests.wire.test_reports import report as dmarc

KEPT = Path(__file__).resolve().parent.parent / "mail" / "seeds"
MOST_SECONDS, MOST_BYTES = 2.0, 50 << 20
MEASURED = 20
"""Of so many inputs one has its memory measured: that is slow."""
WORDS = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b"--b", b"--", b"=?utf-8?B?/w==?=", b"=?x?q?=", b'"', b"\\",
    b"<", b">", b"@", b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n", b";", b"=", b"(" * 40,
    b"Content-Transfer-Encoding: base64\r\n\r\n", b"Final-Recipient: rfc822; ", b"Status: 5.1.1\r\n",
    b"Feedback-Type: abuse\r\n", b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=b; h=from; bh=; b=\r\n",
    b"From: a@b.example\r\n", b"\xff\xfe", "é".encode(), b"A" * 1200, b"&#x110000;",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<record>", b"9" * 400, b"-1", b"null", b"[[[[", b"{",
)  # fmt: skip


class Parser(NamedTuple):
    """How one is tried.

    seeds: beside the files of its folder. tries: how many mutants in an ordinary run.
    refusals: what it may raise, with a sentence.
    """

    work: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    tries: int
    refusals: tuple[type[Exception], ...] = ()


def _returned() -> list[bytes]:
    return [one.raw for half in ("first", "fourth", "eighth") for one in bounces(half)][::5]


def _letters() -> list[bytes]:
    return [m.as_bytes() for kind in ("honest", "phishing") for _, m in letters(kind)][::8]


def _tls() -> list[bytes]:
    policy = {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "boutique.example"}
    summary = {"total-successful-session-count": 5, "total-failure-session-count": 1}
    failures = [
        {"result-type": "certificate-expired", "failed-session-count": 1, "receiving-mx-hostname": "mx.b.example"}
    ]
    days = {"start-datetime": "2026-03-01T00:00:00Z", "end-datetime": "2026-03-01T23:59:59Z"}
    whole = {"organization-name": "Poste", "date-range": days, "contact-info": "a@b.example", "report-id": "5",
             "policies": [{"policy": policy, "summary": summary, "failure-details": failures}]}  # fmt: skip
    return [json.dumps(whole).encode()]


def _addresses() -> list[bytes]:
    return [
        b"zoe@boutique.example",
        b'"a b"@c.example',
        "zoé@éé.example".encode(),
        b"a@[192.0.2.1]",
        b"a.b+c@d-e.f.example",
    ]


def _judged(raw: bytes) -> object:
    return judge(letter_of(raw, name="Zoe", address="zoe@boutique.example", subject="Bonjour"))


def _passed_on(raw: bytes) -> object:
    return pass_on(
        raw, sender=Mailbox("Zoe", "a@b.example"), to=[Mailbox("", "c@d.example")], reply_to=[], subject="x", extra=[]
    )


def _verified(raw: bytes) -> object:
    return dkim_verify.verify(raw, lambda selector, domain: "v=DKIM1; k=ed25519; p=" + "A" * 43 + "=", 1_800_000_000)


def _session(raw: bytes) -> None:
    """A client's whole conversation, each of its questions answered with yes."""
    machine = s.Server(
        s.ServerOptions("in.example", max_size=10_000, starttls=True, auth=True, chunking=True), tls=False
    )
    for start in range(0, len(raw), 700):
        for event in machine.receive_data(raw[start : start + 700]):
            match event:
                case s.StartTls():
                    machine.tls_started()
                case s.Authenticate():
                    machine.answer(s.AUTH_OK)
                case s.Message(envelope, data):
                    assert envelope.recipients and crlf_only(data)
                    machine.answer(reply(250, None, "so"))
                case s.Closed():
                    return
                case _:
                    machine.answer(reply(250, None, "so"))
        machine.data_to_send()


def _delivered(raw: bytes) -> None:
    """A receiver's whole conversation: each transaction has its outcomes, once, and each of these is understood."""
    machine = c.Client(c.ClientOptions("out.example", pipelining=True))
    results, sent = 0, 0
    for start in range(0, len(raw) + 700, 700):
        events = machine.receive_data(raw[start : start + 700]) if start < len(raw) else machine.connection_lost()
        for event in events:
            if isinstance(event, c.StartTls):
                machine.tls_started()
            if isinstance(event, c.TransactionResult):
                results += 1
                for outcome in event.outcomes:
                    if (said := outcome.reply) is not None:
                        classify(said.code, said.enhanced, said.text, "google", outcome.stage)
        if machine.can_send and sent < 4:
            sent += 1
            machine.send("b@out.example", ["r@in.example"], b"Hello\r\n")
        machine.data_to_send()
    assert results == sent


PARSERS = {
    "returned mail": Parser(explain, _returned, 250),
    "outgoing control": Parser(_judged, _letters, 150),
    "submission": Parser(read_submission, _letters, 400, (Unacceptable,)),
    "reading": Parser(read, _letters, 150),
    "seven bits": Parser(seven_bits, _letters, 150),
    "passing on": Parser(_passed_on, _letters, 150, (Unreadable, ValueError)),
    "DKIM": Parser(_verified, _letters, 400),
    "DMARC": Parser(dmarc_report.read, lambda: [dmarc(record(), record(count=3))], 400, (dmarc_report.NoReport,)),
    "TLS report": Parser(tls_report.read, _tls, 400, (tls_report.NoReport,)),
    "unpacking": Parser(unpack.unpack, lambda: [gzip.compress(dmarc())], 400, (unpack.Unpackable,)),
    "SMTP session": Parser(_session, list, 1000),
    "reply": Parser(_delivered, list, 1000),
    "address": Parser(lambda raw: normalise(raw.decode("utf-8", "surrogateescape")), _addresses, 800, (AddressError,)),
}


def mutant(seeds: list[bytes], chance: random.Random) -> bytes:
    """One to six changes: octets, stretches that go, come twice or from elsewhere, words that parsers listen to."""
    made = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(made))
        stretch = slice(at, at + chance.choice((1, 2, 8, 60, 500)))
        match chance.randint(0, 6):
            case 0:
                made[at : at + 1] = bytes([chance.randint(0, 255)])
            case 1:
                del made[stretch]
            case 2:
                made[at:at] = made[stretch] * chance.choice((1, 2, 40))
            case 3:
                other = chance.choice(seeds)
                start = chance.randint(0, len(other))
                made[at:at] = other[start : start + 300]
            case 4 | 5:
                made[at:at] = chance.choice(WORDS) * chance.choice((1, 1, 3, 50))
            case _:
                del made[at:]
    return bytes(made[:200_000])


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_nearly_right_is_answered(name: str) -> None:
    parser = PARSERS[name]
    folder = KEPT / name.replace(" ", "_").lower()
    kept = [file.read_bytes() for file in sorted(folder.glob("*"))]
    seeds = [*kept, *parser.seeds()]
    chance = random.Random(f"{name} {examples(1)}")
    for number in range(len(seeds) + examples(parser.tries, CHEAP)):
        raw = seeds[number] if number < len(seeds) else mutant(seeds, chance)
        problem = _problem(parser, raw, measured=number % MEASURED == 0)
        assert not problem, f"{problem}: kept as {_keep(folder, raw)}"


def test_a_parser_that_breaks_or_dawdles_is_noticed() -> None:
    """What the test above stands on: each of the three faults is one."""

    def slow(raw: bytes) -> None:
        began = time.process_time()
        while time.process_time() - began <= MOST_SECONDS:
            pass

    def refuse(raw: bytes) -> None:
        raise AddressError("no")

    assert "IndexError" in _problem(Parser(lambda raw: raw[9], list, 1), b"x")
    assert "MB" in _problem(Parser(lambda raw: len(raw * 60_000_000), list, 1), b"x", measured=True)
    assert "seconds" in _problem(Parser(slow, list, 1), b"x")
    assert "AddressError" in _problem(Parser(refuse, list, 1), b"x")
    assert _problem(Parser(refuse, list, 1, (AddressError,)), b"x", measured=True) == ""


def _problem(parser: Parser, raw: bytes, *, measured: bool = False) -> str:
    """What is wrong with how this input is answered; empty where nothing is. Memory only if measured."""
    if measured:
        tracemalloc.start()
    began, most = time.process_time(), 0
    try:
        parser.work(raw)
    except parser.refusals:
        pass
    except Exception as error:  # whatever it is, it is what we look for
        return repr(error)
    finally:
        took = time.process_time() - began
        if measured:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    if most > MOST_BYTES:
        return f"{most >> 20} MB"
    return f"{took:.1f} seconds" if took >= MOST_SECONDS and not measured else ""


def _keep(folder: Path, raw: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / sha256(raw).hexdigest()[:16]
    file.write_bytes(raw)
    return file
