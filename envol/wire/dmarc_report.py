"""Aggregate reports of DMARC (RFC 9990, and its forerunner RFC 7489 appendix C): who sent in a domain's name.

The XML comes from strangers: no document type, no entities, nothing external, and bounds on depth, records and text.
Both schemas are read, whatever their namespace; what is not known is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat  # what an entity could do is refused below

MAX_RECORDS = 50_000
_MAX_DEPTH = 20
_MAX_TEXT = 4096
_MAX_COUNT = 2**40


class NoReport(ValueError):
    """Not a report that can be read; the sentence says why."""


class Row(NamedTuple):
    """Messages of one source that fared alike. dkim, spf: passed and aligned with From; disposition: what was done."""

    source: str
    n: int
    disposition: str
    dkim: bool
    spf: bool
    reason: str  # of an override: forwarded, mailing_list, local_policy…
    header_from: str
    dkim_domain: str
    spf_domain: str

    @property
    def passed(self) -> bool:
        """One aligned pass is enough (RFC 9989 §4.4)."""
        return self.dkim or self.spf


@dataclass(slots=True)
class Report:
    """begin, end: seconds since 1970, of the time reported on."""

    organisation: str
    report_id: str
    begin: int
    end: int
    domain: str
    policy: str
    rows: list[Row] = field(default_factory=list)

    @property
    def messages(self) -> int:
        return sum(row.n for row in self.rows)


def read(xml: bytes) -> Report:
    """Read one report. Raises NoReport for anything else; never reads beyond its bounds."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse  # before any entity can be declared
    parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(xml, True)
    except NoReport:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two of an encoding that nobody knows
        raise NoReport(f"It is no XML: {error}.") from None
    return reader.report()


def _refuse(*_: object) -> int:
    raise NoReport("A report has no document type and no entities.")


class _Reader:
    """Keeps the texts of the record it is in, and of what stands before the records, by their path."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._octets = 0
        self._head: dict[str, str] = {}
        self._record: dict[str, str] = {}
        self._rows: list[Row] = []

    def start(self, name: str, _: object) -> None:
        if len(self._path) >= _MAX_DEPTH:
            raise NoReport("It is nested too deep.")
        self._path.append(name.rpartition(" ")[2].lower())
        self._text, self._octets = [], 0
        if self._path == ["feedback", "record"]:
            self._record = {}

    def text(self, text: str) -> None:
        self._octets += len(text)
        if self._octets > _MAX_TEXT:
            raise NoReport("A text is too long.")
        self._text.append(text)

    def end(self, _: str) -> None:
        path = "/".join(self._path[1:])
        value = "".join(self._text).strip()
        if self._path[:2] == ["feedback", "record"]:
            if len(self._path) == 2:
                self._close()
            elif value:
                # Of several signatures the one that passed counts; the first stands until then.
                self._keep(path.removeprefix("record/"), value)
        elif self._path[:1] == ["feedback"] and value and len(self._head) < 200:
            self._head.setdefault(path, value)
        self._text, self._octets = [], 0
        self._path.pop()

    def _keep(self, path: str, value: str) -> None:
        if path == "auth_results/dkim/result" and value.lower() == "pass":
            self._record["passing"] = self._record.get("last", "")
        if path == "auth_results/dkim/domain":
            self._record["last"] = value
        self._record.setdefault(path, value)

    def _close(self) -> None:
        if len(self._rows) >= MAX_RECORDS:
            raise NoReport("It has too many records.")
        given = self._record
        count = _number(given.get("row/count", ""))
        source = given.get("row/source_ip", "")[:45]
        if count <= 0 or not source:
            return
        evaluated = "row/policy_evaluated/"
        self._rows.append(
            Row(
                source,
                count,
                given.get(f"{evaluated}disposition", "none").lower()[:12],
                given.get(f"{evaluated}dkim", "").lower() == "pass",
                given.get(f"{evaluated}spf", "").lower() == "pass",
                given.get(f"{evaluated}reason/type", "").lower()[:30],
                given.get("identifiers/header_from", "").lower()[:253],
                (given.get("passing") or given.get("auth_results/dkim/domain", "")).lower()[:253],
                given.get("auth_results/spf/domain", "").lower()[:253],
            )
        )

    def report(self) -> Report:
        head = self._head
        domain = head.get("policy_published/domain", "").lower().rstrip(".")[:253]
        report_id = head.get("report_metadata/report_id", "")[:200]
        if not domain or not report_id:
            raise NoReport("It names no domain or has no id: it is no DMARC report.")
        begin = _number(head.get("report_metadata/date_range/begin", ""))
        end = _number(head.get("report_metadata/date_range/end", ""))
        if not 0 < begin <= end < 2**32 or end - begin > 40 * 86400:
            raise NoReport("Its time cannot be.")
        organisation = head.get("report_metadata/org_name", "") or head.get("report_metadata/email", "")
        policy = head.get("policy_published/p", "none").lower()[:12]
        return Report(organisation[:120] or "?", report_id, begin, end, domain, policy, self._rows)


def _number(text: str) -> int:
    return min(int(text), _MAX_COUNT) if text.isascii() and text.isdigit() and len(text) < 19 else 0
