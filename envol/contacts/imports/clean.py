"""Bring whole columns into canonical form: addresses, properties, permission dates.

Each column is cleaned twice over: what has an unmistakable form is accepted as it is, by one
expression over all rows; each distinct value that remains goes once through the same function that
pages and the API use (`envol.wire.address.normalise`, `catalogue.canonical`). So the two cannot disagree
about anything but the unmistakable, and that is tested against them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
from django.utils.translation import gettext

from envol.consent.bases import FREE_MAIL, generic_names
from envol.contacts import catalogue, places, sealing
from envol.contacts.imports.dates import read_moment
from envol.contacts.imports.permission import Grant
from envol.contacts.imports.read import Refused
from envol.contacts.models import Import, Property
from envol.wire.address import AddressError, normalise
from envol.zones import known_zones

GRANTS, NO_PROOF, NO_DATE, FUTURE, PRIVATE, NO_JOB = range(6)
"""Why a line gives no permission (column ``mail``); 0 when it gives one."""
NOT_GRANTED = {
    NO_PROOF: "no_proof",
    NO_DATE: "no_date",
    FUTURE: "future_date",
    PRIVATE: "private_mailbox",
    NO_JOB: "no_job_relation",
}

MEMORY = 100_000  # distinct values remembered from block to block

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
# The unmistakable: RFC 5321 §4.1.2 dot-string at a domain of LDH labels, lengths included (§4.5.3.1).
_PLAIN = (
    rf"^{_ATOM}+(?:\.{_ATOM}+)*@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]$"
)
# ASCII that JSON and COPY take as it is, and that `catalogue` keeps as it is.
_PLAIN_TEXT = r"^[!#-\[\]-~](?:[ !#-\[\]-~]{0,998}[!#-\[\]-~])?$"

Slow = Callable[[str], str]
"""Text as it came → what is stored; ValueError with a sentence."""


class Column:
    """One column on its way into canonical form; ``fast`` and ``slow`` as the module says."""

    def __init__(self, source: str, fast: tuple[pl.Expr, pl.Expr] | None, slow: Slow) -> None:
        self.source, self.fast, self.slow = source, fast, slow
        self._known: dict[str, str | None] = {}
        self._wrong: dict[str, str] = {}

    def clean(self, rows: pl.DataFrame) -> tuple[pl.Series, dict[str, str]]:
        """Canonical texts (null where empty or refused), and the refused values with their sentences."""
        raw = rows[self.source]
        if self.fast is None:
            done, rest = pl.Series([None] * len(raw), dtype=pl.String), raw
        else:
            accepts, gives = self.fast
            both = rows.select(
                pl.when(accepts).then(gives).otherwise(None).alias("done"),
                pl.when(accepts).then(None).otherwise(pl.col(self.source)).alias("rest"),
            )
            done, rest = both["done"], both["rest"]
        wrong: dict[str, str] = {}
        distinct = [value for value in rest.unique().to_list() if value is not None]
        if not distinct:
            return done, wrong
        if len(self._known) > MEMORY:
            self._known.clear()
            self._wrong.clear()
        for value in distinct:
            if value not in self._known:
                self._known[value] = self._one(value)
            if value in self._wrong:
                wrong[value] = self._wrong[value]
        slow = rest.replace_strict(
            pl.Series(distinct, dtype=pl.String),
            pl.Series([self._known[value] for value in distinct], dtype=pl.String),
            default=None,
            return_dtype=pl.String,
        )
        return done.zip_with(done.is_not_null(), slow) if self.fast else slow, wrong

    def _one(self, value: str) -> str | None:
        if not value.strip():
            return None
        try:
            return self.slow(value)
        except AddressError as error:
            self._wrong[value] = error.told(gettext)
            return None
        except ValueError as error:
            self._wrong[value] = str(error)
            return None


# -- addresses ---------------------------------------------------------------------------------


def addresses(source: str) -> Column:
    """Column of written addresses; the key is `key_of` of it."""
    raw = pl.col(source).str.strip_chars(" ")
    domain = raw.str.split("@").list.last()
    plain = (
        raw.str.contains(_PLAIN)
        & (raw.str.len_bytes() <= 128)
        & (domain.str.len_bytes() <= 63)
        & (raw.str.len_bytes() - domain.str.len_bytes() <= 65)
        & ~raw.str.to_lowercase().str.contains("xn--", literal=True)
    )
    written = raw.str.replace(r"@.*$", "") + "@" + domain.str.to_lowercase()
    return Column(source, (plain, written), lambda value: normalise(value).written)


def key_of(written: pl.Series) -> pl.Series:
    """The keys of written addresses: lower case where ASCII, else as `normalise` says."""
    lower = written.str.to_lowercase()
    beyond = written.str.contains(r"[^\x00-\x7f]").fill_null(False)
    if not beyond.any():
        return lower
    keys = [normalise(value).key for value in written.filter(beyond).to_list()]
    full: list[str | None] = [None] * len(written)
    for place, key in zip(beyond.arg_true().to_list(), keys, strict=True):
        full[place] = key
    return lower.zip_with(~beyond, pl.Series(full, dtype=pl.String))


# -- properties --------------------------------------------------------------------------------


def values(source: str, prop: Property, *, nested: bool = False) -> Column:
    """Column of values of a property, each as JSON text. ``nested``: cells may hold JSON themselves."""

    def slow(value: str) -> str:
        raw: Any = value
        if nested and prop.type in ("place", "list") and value[:1] in "{[":
            try:
                raw = json.loads(value)
            except ValueError:
                raw = value
        return json.dumps(catalogue.canonical(prop, raw), ensure_ascii=False, separators=(",", ":"))

    raw = pl.col(source)
    fast: tuple[pl.Expr, pl.Expr] | None = None
    if prop.type == "text":
        fast = (raw.str.contains(_PLAIN_TEXT), pl.concat_str(pl.lit('"'), raw, pl.lit('"')))
    elif prop.type == "number":
        fast = (raw.str.contains(r"^(?:0|-?[1-9][0-9]{0,14})$"), raw)
    elif prop.type == "date":
        # Days 1 to 28 exist in every month; the others are asked one by one.
        iso = raw.str.contains(r"^[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])$")
        day_first = raw.str.contains(r"^(?:0[1-9]|1[0-9]|2[0-8])/(?:0[1-9]|1[0-2])/[12][0-9]{3}$")
        turned = pl.lit('"') + raw.str.slice(6) + "-" + raw.str.slice(3, 2) + "-" + raw.str.slice(0, 2) + pl.lit('"')
        fast = (iso | day_first, pl.when(iso).then(pl.lit('"') + raw + pl.lit('"')).otherwise(turned))
    elif prop.type == "money":
        cents = raw.str.replace(r"[.,]", "").str.strip_chars_start("0")
        fast = (
            raw.str.contains(r"^[0-9]{1,9}[.,][0-9]{2}$"),
            pl.when(cents == "").then(pl.lit("0")).otherwise(cents),
        )
    elif prop.type == "place" and not nested:
        plain = raw.str.contains(_PLAIN_TEXT) & ~raw.str.contains(r"^\s*(?:F-?)?[0-9]{5}")
        fast = (plain, pl.concat_str(pl.lit('{"label":"'), raw, pl.lit('"}')))
    return Column(source, None if sealing.seals(prop) else fast, slow)


# -- language, time zone, tags, identifiers, permission -----------------------------------------

_LANGUAGES = {
    "francais": "fr", "french": "fr", "anglais": "en", "english": "en", "deutsch": "de", "german": "de",
    "allemand": "de", "espanol": "es", "spanish": "es", "espagnol": "es", "italiano": "it", "italian": "it",
    "italien": "it", "nederlands": "nl", "dutch": "nl", "neerlandais": "nl", "portugais": "pt", "portuguese": "pt",
}  # fmt: skip


def language_code(value: str) -> str:
    from envol.contacts.imports.mapping import plain

    text = value.strip().replace("_", "-").split(".")[0]
    if named := _LANGUAGES.get(plain(value)):
        return named
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z]{2,4})?", text):
        raise ValueError(gettext("“%(text)s” is no language code: write fr, en or fr-BE.") % {"text": value[:40]})
    first, _, region = text.partition("-")
    return first.lower() + (f"-{region.upper()}" if region else "")


@cache
def _zones() -> dict[str, str]:
    return {zone.lower(): zone for zone in known_zones()}


def zone_name(value: str) -> str:
    zone = _zones().get(value.strip().lower())
    if zone is None:
        raise ValueError(gettext("“%(text)s” is no time zone: write one like Europe/Paris.") % {"text": value[:40]})
    return zone


def tag_list(value: str) -> str:
    tags = {" ".join(tag.split()) for tag in re.split(r"[;,|]", value)} - {""}
    if any(len(tag) > 60 or not tag.isprintable() for tag in tags):
        raise ValueError(gettext("A tag has 1 to 60 visible characters."))
    return json.dumps(sorted(tags), ensure_ascii=False)


def identifier_text(value: str) -> str:
    text = value.strip()
    if len(text) > 200 or not text.isprintable():
        raise ValueError(gettext("An identifier is at most 200 visible characters."))
    return json.dumps(text, ensure_ascii=False)


def proof_text(value: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:300]


def moment_text(value: str) -> str:
    return read_moment(value).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


class Cleaner:
    """From rows of the file to rows of the staging table, for one import.

    Columns given: no, key, written, language, time_zone; props, sources, ids, tags as JSON texts; since
    (UTC, no zone), proof, mail (`GRANTS` or why not).
    """

    def __init__(self, imp: Import, grant: Grant | None, source_id: int) -> None:
        self.grant, self.source_id = grant, source_id
        props = catalogue.of(imp.workspace_id)
        nested = imp.format["kind"] == "jsonl"
        self.names = list(imp.format["columns"])
        self.one: dict[str, Column] = {}
        self.props: dict[str, Column] = {}
        self.tags: list[Column] = []
        self.ids: dict[str, Column] = {}
        self.places: dict[str, dict[str, str]] = {}  # place → part → column
        simple: dict[str, Slow] = {
            "language": language_code,
            "time_zone": zone_name,
            "permission_date": moment_text,
            "permission_proof": proof_text,
        }
        for i, name in enumerate(self.names):
            source, target = f"c{i}", imp.mapping.get(name, "skip")
            kind, _, rest = target.partition(":")
            if target == "email":
                self.one["email"] = addresses(source)
            elif target in simple:
                self.one[target] = Column(source, None, simple[target])
            elif target == "tag":
                self.tags.append(Column(source, None, tag_list))
            elif kind == "part":
                place, _, part = rest.partition(".")
                self.places.setdefault(place, {})[part] = source
            elif kind == "property":
                self.props[rest] = values(source, props[rest], nested=nested)
            elif kind == "identifier":
                plain = (
                    pl.col(source).str.contains(r"^[!#-\[\]-~]{1,200}$"),
                    pl.concat_str(pl.lit('"'), pl.col(source), pl.lit('"')),
                )
                self.ids[rest] = Column(source, plain, identifier_text)
        self._join_places(props)

    def _join_places(self, props: Mapping[str, Property]) -> None:
        """A place whose parts are columns of their own is read from one more column that holds them all."""
        for key, parts in self.places.items():
            if key in self.props:
                parts["label"] = self.props[key].source
            title = " + ".join(self.names[int(source[1:])] for source in parts.values())
            self.props[key] = values(f"c{len(self.names)}", props[key], nested=True)
            self.names.append(title)

    def _placed(self, rows: pl.DataFrame) -> pl.DataFrame:
        made = []
        for key, parts in self.places.items():
            told = [
                json.dumps(cells, ensure_ascii=False)
                if (cells := _place_of(dict(zip(parts, row, strict=True))))
                else None
                for row in rows.select(list(parts.values())).iter_rows()
            ]
            made.append(pl.Series(self.props[key].source, told, dtype=pl.String))
        return rows.with_columns(made) if made else rows

    def clean(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Refused]]:
        refused: list[Refused] = []
        rows = self._placed(rows)
        written, wrong = self.one["email"].clean(rows)
        bad = written.is_null()
        if bad.any():
            source = self.one["email"].source
            for no, raw, value in rows.filter(bad).select("no", "raw", source).iter_rows():
                value = value or ""
                refused.append(Refused(no, "address", wrong.get(value) or _sentence(value), raw))
            rows, written = rows.filter(~bad), written.filter(~bad)
        result = {"no": rows["no"], "key": key_of(written), "written": written}
        for name in ("language", "time_zone"):
            result[name] = self._column(self.one.get(name), rows, refused)
        props = {key: self._column(column, rows, refused) for key, column in self.props.items()}
        ids = {kind: self._column(column, rows, refused) for kind, column in self.ids.items()}
        parts = {f"p_{key}": s for key, s in props.items()} | {f"i_{kind}": s for kind, s in ids.items()}
        frame = pl.DataFrame({**result, **parts})
        frame = frame.with_columns(
            _object({key: pl.col(f"p_{key}") for key in props}).alias("props"),
            _object(
                {key: pl.when(pl.col(f"p_{key}").is_not_null()).then(pl.lit(str(self.source_id))) for key in props}
            ).alias("sources"),
            _object({kind: pl.col(f"i_{kind}") for kind in ids}).alias("ids"),
            self._tags(rows, refused),
        ).drop(list(parts))
        return self._permission(frame, rows), refused

    def _column(self, column: Column | None, rows: pl.DataFrame, refused: list[Refused]) -> pl.Series:
        if column is None:
            return pl.Series([None] * len(rows), dtype=pl.String)
        found, wrong = column.clean(rows)
        if wrong:
            name = self.names[int(column.source[1:])]
            listed = pl.Series(list(wrong), dtype=pl.String)
            some = rows.filter(pl.col(column.source).is_in(listed.implode()))
            for no, raw, value in some.select("no", "raw", column.source).iter_rows():
                refused.append(Refused(no, "value", f"{name}: {value[:100]} – {wrong[value]}", raw))
        return found

    def _tags(self, rows: pl.DataFrame, refused: list[Refused]) -> pl.Series:
        columns = [self._column(column, rows, refused) for column in self.tags]
        if not columns:
            return pl.Series("tags", ["[]"] * len(rows), dtype=pl.String)
        if len(columns) == 1:
            return columns[0].fill_null("[]").alias("tags")
        merged = [
            json.dumps(sorted({tag for text in row if text for tag in json.loads(text)}), ensure_ascii=False)
            for row in zip(*columns, strict=True)
        ]
        return pl.Series("tags", merged, dtype=pl.String)

    def _permission(self, frame: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        grant, n = self.grant, len(frame)
        mail = pl.lit(GRANTS, dtype=pl.Int8)
        since, proof = pl.Series("since", [None] * n, dtype=pl.Datetime("us")), pl.Series("proof", [""] * n)
        if grant is None:
            return frame.with_columns(since, proof, mail=pl.lit(NO_PROOF, dtype=pl.Int8))
        if "permission_date" in self.one:
            since = self.one["permission_date"].clean(rows)[0].str.to_datetime(time_unit="us").alias("since")
        elif grant.since is not None:
            moment = grant.since.astimezone(UTC).replace(tzinfo=None)
            since = pl.Series("since", [moment], dtype=pl.Datetime("us")).new_from_index(0, n)
        if "permission_proof" in self.one:
            proof = self.one["permission_proof"].clean(rows)[0].fill_null("").alias("proof")
        frame = frame.with_columns(since, proof)
        tomorrow = (datetime.now(UTC) + timedelta(minutes=4)).replace(tzinfo=None)
        mail = pl.when(pl.col("since") > tomorrow).then(FUTURE).otherwise(mail)
        mail = pl.when(pl.col("since").is_null()).then(NO_DATE).otherwise(mail)
        if grant.per_line:
            mail = pl.when(pl.col("proof") == "").then(NO_PROOF).otherwise(mail)
        if grant.general:  # another column may have become the address since the file was looked through
            mail = pl.when(is_general()).then(mail).otherwise(NO_JOB)
        if grant.basis == "business":
            private = pl.col("key").str.split("@").list.last().is_in(sorted(FREE_MAIL))
            mail = pl.when(private).then(PRIVATE).otherwise(mail)
        return frame.with_columns(mail=mail.cast(pl.Int8))


def is_general() -> pl.Expr:
    """Over the column ``key``: `envol.consent.bases.generic`."""
    name, domain = pl.col("key").str.replace(r"@[^@]*$", ""), pl.col("key").str.split("@").list.last()
    known = name.str.replace(r"\+.*$", "").is_in(sorted(generic_names()))
    return known & ~domain.is_in(sorted(FREE_MAIL))


def _place_of(cells: dict[str, str | None]) -> dict[str, Any]:
    """The parts of a place that are there; a cell that is a place itself (JSON) brings its own."""
    label = cells.pop("label", None) or ""
    found: dict[str, Any] = {}
    if label[:1] == "{":
        try:
            found = json.loads(label)
        except ValueError:
            found = {"label": label}
    elif label.strip():
        found = {"label": label}
    for part, text in cells.items():
        if text and text.strip():
            found[part] = places.country(text) if part == "country" else text.strip()
    return found


def _sentence(value: str) -> str:
    try:
        normalise(value)
    except AddressError as error:
        return error.told(gettext)
    return ""


def _object(members: dict[str, pl.Expr]) -> pl.Expr:
    """JSON objects out of columns of JSON texts; a null is no member."""
    if not members:
        return pl.lit("{}")
    parts = [pl.concat_str(pl.lit(f'"{key}":'), expr) for key, expr in members.items()]
    return pl.concat_str(pl.lit("{"), pl.concat_str(parts, separator=",", ignore_nulls=True), pl.lit("}"))
