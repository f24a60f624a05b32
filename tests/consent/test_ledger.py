from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, DataError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from envol.accounts.models import Workspace
from envol.consent import acts, chain, ledger, purposes, verifying
from envol.consent.ledger import Line
from envol.consent.models import Permission
from envol.db import execute, rows, value

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def day(n: int) -> datetime:
    return MONDAY + timedelta(days=n)


@pytest.fixture
def someone() -> int:
    return secrets.randbits(40)


@pytest.fixture
def newsletter(workspace: Workspace) -> int:
    return purposes.get(workspace, "newsletter").pk


def granted(contact: int, purpose: int, since: datetime = MONDAY, proof: str = "box") -> Line:
    return Line(contact, purpose, "granted", "consent", since, None, proof)


def answers(contact: int) -> list[tuple[str, datetime, datetime | None]]:
    found = Permission.objects.filter(contact_id=contact).order_by("since", "block")
    return [(p.state, p.since, p.until) for p in found]


# -- appending ---------------------------------------------------------------------------------


def test_a_new_answer_closes_the_one_before_and_overwrites_nothing(
    workspace: Workspace, someone: int, newsletter: int
) -> None:
    ledger.append(workspace.id, [granted(someone, newsletter, day(0))])
    ledger.append(workspace.id, [Line(someone, newsletter, "withdrawn", "consent", day(3))])
    assert answers(someone) == [("granted", day(0), day(3)), ("withdrawn", day(3), None)]
    assert ledger.verify(workspace.id).ok


def test_an_answer_that_arrives_late_takes_its_place_and_not_the_present(
    workspace: Workspace, someone: int, newsletter: int
) -> None:
    ledger.append(workspace.id, [Line(someone, newsletter, "withdrawn", "consent", day(5))])
    ledger.append(workspace.id, [granted(someone, newsletter, day(1))])
    assert answers(someone) == [("granted", day(1), day(5)), ("withdrawn", day(5), None)]
    assert ledger.verify(workspace.id).ok


def test_two_answers_of_one_instant_in_one_call_leave_the_last_one_in_force(
    workspace: Workspace, someone: int, newsletter: int
) -> None:
    ledger.append(
        workspace.id, [granted(someone, newsletter), Line(someone, newsletter, "withdrawn", "consent", MONDAY)]
    )
    assert Permission.objects.get(contact_id=someone, until=None).state == "withdrawn"
    assert ledger.verify(workspace.id).ok


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (Line(1, 1, "maybe", "consent", MONDAY), "not 'maybe'"),
        (Line(1, 1, "granted", "because", MONDAY), "not 'because'"),
        (Line(1, 1, "granted", "consent", datetime.now(UTC) + timedelta(days=2)), "future"),
        (Line(1, 1, "granted", "consent", datetime(2026, 1, 1)), "time zone"),
        (Line(1, 1, "granted", "consent", MONDAY, None, "x" * 301), "300 characters"),
    ],
)
def test_a_malformed_answer_is_refused_with_a_sentence(workspace: Workspace, line: Line, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ledger.append(workspace.id, [line])
    assert ledger.head(workspace.id) is None


def test_an_append_that_fails_leaves_neither_block_nor_row(workspace: Workspace, someone: int, newsletter: int) -> None:
    with pytest.raises(DataError):
        ledger.append(workspace.id, [granted(someone, newsletter), granted(2**70, newsletter)])
    assert ledger.head(workspace.id) is None and answers(someone) == []


def test_projections_run_in_the_same_transaction(
    workspace: Workspace, someone: int, newsletter: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(workspace_id: int, contact_ids: object) -> None:
        assert connection.in_atomic_block and list(contact_ids) == [someone]  # type: ignore[call-overload]
        raise RuntimeError("no mask, no answer")

    monkeypatch.setattr(ledger, "_projections", [fails])
    with pytest.raises(RuntimeError):
        ledger.append(workspace.id, [granted(someone, newsletter)])
    assert ledger.head(workspace.id) is None and answers(someone) == []


def test_appends_of_one_workspace_wait_for_one_another(
    workspace: Workspace, database_url: str, someone: int, newsletter: int
) -> None:
    import psycopg

    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('envol consent ledger'), %s)", [workspace.id])
        with pytest.raises(Exception, match="lock timeout"), transaction.atomic():
            execute("SET LOCAL lock_timeout = '100ms'")
            ledger.append(workspace.id, [granted(someone, newsletter)])
    ledger.append(workspace.id, [granted(someone, newsletter)])
    assert ledger.verify(workspace.id).ok


# -- what verification finds -------------------------------------------------------------------


@pytest.fixture(params=[verifying.AT_ONCE, 2, 1], ids=lambda rows: f"{rows} at once")
def three_blocks(
    workspace: Workspace, newsletter: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> list[int]:
    """Verified in one batch, in batches that end inside a block and where one does, and row by row."""
    monkeypatch.setattr(verifying, "AT_ONCE", request.param)
    people = [secrets.randbits(40) for _ in range(7)]
    ledger.append(workspace.id, [granted(p, newsletter, proof=f"line {i}") for i, p in enumerate(people)])
    ledger.append(workspace.id, [Line(people[0], newsletter, "withdrawn", "consent", day(1))])
    ledger.append(workspace.id, [granted(people[0], newsletter, day(2)), granted(secrets.randbits(40), newsletter)])
    return people


@pytest.mark.parametrize(
    "change",
    [
        "state = 'withdrawn'",
        "basis = 'business'",
        "since = since - interval '1 microsecond'",
        "evidence_id = 7",
        "proof = proof || ' '",
        "contact_id = contact_id + 1",
        "purpose_id = purpose_id + 1",
        "leaf_key = sha256('x')",
        "leaf_key = substr(leaf_key, 2)",
        "leaf = leaf + 1000",
        "block = block + 1000",
    ],
)
def test_an_altered_permission_is_found(workspace: Workspace, three_blocks: list[int], change: str) -> None:
    assert ledger.verify(workspace.id).ok
    execute(f"UPDATE consent_permission SET {change} WHERE contact_id = %s", [three_blocks[3]])
    report = ledger.verify(workspace.id)
    assert [p.leaf % 1000 for p in report.problems] == [3]


def test_an_interval_that_was_moved_is_found(workspace: Workspace, three_blocks: list[int]) -> None:
    execute("UPDATE consent_permission SET until = now() WHERE contact_id = %s", [three_blocks[3]])
    assert "interval" in ledger.verify(workspace.id).problems[0].what


def test_two_rows_exchanged_are_found(workspace: Workspace, three_blocks: list[int]) -> None:
    execute(
        "UPDATE consent_permission SET leaf = 7 - leaf WHERE workspace_id = %s AND block = 1 AND leaf IN (3, 4)",
        [workspace.id],
    )
    assert {p.leaf for p in ledger.verify(workspace.id).problems} == {3, 4}


def test_an_octet_moved_from_one_key_to_another_is_found(workspace: Workspace, three_blocks: list[int]) -> None:
    """All keys of a batch together have their length still."""
    execute(
        "UPDATE consent_permission SET leaf_key = CASE leaf WHEN 3 THEN substr(leaf_key, 1, 15)"
        " ELSE leaf_key || '\\x00' END WHERE workspace_id = %s AND block = 1 AND leaf IN (3, 4)",
        [workspace.id],
    )
    # HMAC fills a key up with zeros (RFC 2104 section 2), so the longer one is the same key.
    assert [p.leaf for p in ledger.verify(workspace.id).problems] == [3]


def test_one_line_claimed_twice_is_found(workspace: Workspace, three_blocks: list[int]) -> None:
    execute("UPDATE consent_permission SET leaf = 3 WHERE workspace_id = %s AND block = 1 AND leaf = 4", [workspace.id])
    assert "two rows claim this line" in {p.what for p in ledger.verify(workspace.id).problems if p.leaf == 3}


def test_the_database_makes_the_octets_that_the_chain_defines(workspace: Workspace, newsletter: int) -> None:
    """Words of every sort, a moment before 1970, every microsecond; without evidence, with one, with an old one."""
    told = acts.evidence(workspace, "document", "registre", document=b"registre")
    old = acts.evidence(workspace, "document", "registre", document=b"ancien")
    execute("UPDATE consent_evidence SET seal = NULL WHERE id = %s", [old.pk])
    proofs = ["", "-", "line\none\ttwo", "d’été 🌞 \\x41 %s {0}", "é\u0301\u202f«\u202foui\u202f»"]
    moments = [day(0), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(2026, 1, 1, 0, 0, 0, 1, UTC)]
    lines = [
        Line(secrets.randbits(62), newsletter, state, "business", moment, evidence, proof)
        for state, moment, evidence in zip(
            ("granted", "objected", "lapsed"), moments, (None, told.pk, old.pk), strict=True
        )
        for proof in proofs
    ]
    ledger.append(workspace.id, lines)
    seals = ledger.seals_of([told.pk, old.pk])
    with transaction.atomic():
        made = [message for _, _, _, message in ledger.payloads(workspace.id)]
    assert made == [chain.payload(workspace.id, *line, seals.get(line.evidence_id)) for line in lines]
    assert ledger.verify(workspace.id).readable == len(lines)


def test_nobody_alters_or_deletes_a_block_by_accident(workspace: Workspace, three_blocks: list[int]) -> None:
    for act in ("UPDATE consent_ledger_block SET count = count", "DELETE FROM consent_ledger_block"):
        with pytest.raises(DatabaseError, match="append-only"):
            execute(f"{act} WHERE workspace_id = %s", [workspace.id])


@pytest.mark.parametrize(
    "act",
    [
        "UPDATE {t} SET at = at + interval '1 second' WHERE {w} AND no = 2",
        "UPDATE {t} SET leaves = set_byte(leaves, 39, get_byte(leaves, 39) # 1) WHERE {w} AND no = 1",
        "UPDATE {t} SET root = sha256('x') WHERE {w} AND no = 2",
        "UPDATE {t} SET previous = sha256('x') WHERE {w} AND no = 3",
        "UPDATE {t} SET hash = sha256('x') WHERE {w} AND no = 3",
        "UPDATE {t} SET leaves = substr(leaves, 33) || substr(leaves, 1, 32) WHERE {w} AND no = 3",
        "DELETE FROM {t} WHERE {w} AND no = 2",
        "DELETE FROM {t} WHERE {w} AND no = 3",
        "UPDATE {t} SET no = 4 WHERE {w} AND no = 3",
    ],
)
def test_a_block_altered_by_someone_who_owns_the_database_is_found(
    workspace: Workspace, three_blocks: list[int], act: str
) -> None:
    try:
        with transaction.atomic():
            execute("ALTER TABLE consent_ledger_block DISABLE TRIGGER USER")  # the owner can
            execute(act.format(t="consent_ledger_block", w=f"workspace_id = {workspace.id}"))
            assert not ledger.verify(workspace.id).ok
            raise InterruptedError
    except InterruptedError:
        pass
    assert ledger.verify(workspace.id).ok


def test_a_rewritten_tail_is_found_by_a_head_noted_before(
    workspace: Workspace, three_blocks: list[int], someone: int, newsletter: int
) -> None:
    noted = ledger.head(workspace.id)
    assert noted and noted[0] == 3
    assert ledger.verify(workspace.id, known=noted).ok
    with pytest.raises(InterruptedError), transaction.atomic():
        execute("ALTER TABLE consent_ledger_block DISABLE TRIGGER USER")
        execute("DELETE FROM consent_ledger_block WHERE workspace_id = %s AND no = 3", [workspace.id])
        execute("DELETE FROM consent_permission WHERE workspace_id = %s AND block = 3", [workspace.id])
        execute("UPDATE consent_permission SET until = NULL WHERE workspace_id = %s AND block = 2", [workspace.id])
        ledger.append(workspace.id, [granted(someone, newsletter)])
        assert ledger.verify(workspace.id).ok  # whole in itself…
        assert not ledger.verify(workspace.id, known=noted).ok  # …but another story
        raise InterruptedError
    ledger.append(workspace.id, [granted(someone, newsletter)])
    assert ledger.verify(workspace.id, known=noted).ok  # growing is no alteration


def test_erasing_a_person_leaves_the_chain_whole_and_nothing_to_read(
    workspace: Workspace, three_blocks: list[int]
) -> None:
    before = ledger.verify(workspace.id)
    assert ledger.forget(workspace.id, three_blocks[0]) == 3
    after = ledger.verify(workspace.id)
    assert after.ok and after.lines == before.lines == 10
    assert after.readable == before.readable - 3 == 7


# -- proofs ------------------------------------------------------------------------------------


def test_one_line_is_proved_without_showing_the_others(workspace: Workspace, three_blocks: list[int]) -> None:
    proof = ledger.inclusion(workspace.id, 1, 5)
    row = Permission.objects.get(contact_id=three_blocks[5])
    message = chain.payload(
        workspace.id,
        row.contact_id,
        row.purpose_id,
        row.state,
        row.basis,
        row.since,
        row.evidence_id,
        row.proof,
    )
    assert proof.leaf == hmac.new(bytes(row.leaf_key), message, hashlib.sha256).digest()
    assert proof.holds()
    assert not proof._replace(leaf=hashlib.sha256(b"x").digest()).holds()
    assert not proof._replace(place=7).holds()
    with pytest.raises(LookupError):
        ledger.inclusion(workspace.id, 1, 7)


@given(st.integers(1, 70), st.data())
def test_every_leaf_of_every_tree_leads_to_the_root(count: int, data: st.DataObject) -> None:
    leaves = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(count))
    index = data.draw(st.integers(0, count - 1))
    own = leaves[index * 32 : index * 32 + 32]
    assert chain.climb(own, chain.path(leaves, index)) == chain.root(leaves)
    changed = bytearray(leaves)
    changed[data.draw(st.integers(0, len(leaves) - 1))] ^= 1
    assert chain.root(bytes(changed)) != chain.root(leaves)


@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_leaves_made_in_bulk_are_plain_hmac(messages: list[bytes], data: st.DataObject) -> None:
    keys = data.draw(st.binary(min_size=16 * len(messages), max_size=16 * len(messages)))
    single = [
        hmac.new(keys[i * 16 : i * 16 + 16], message, hashlib.sha256).digest() for i, message in enumerate(messages)
    ]
    assert chain.leaves(keys, messages) == b"".join(single)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 99),
            st.integers(1, 99),
            st.sampled_from(ledger.STATES),
            st.sampled_from(["consent", "customer"]),
            st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),
            st.none() | st.integers(1, 9),
            st.text(max_size=20),
        ),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_two_different_answers_never_have_the_same_octets(lines: list[tuple]) -> None:
    first, second = (chain.payload(1, *line) for line in lines)
    assert first != second


# -- in bulk -----------------------------------------------------------------------------------


def copy(sealed: ledger.Sealed, start: int, stop: int) -> None:
    with connection.cursor() as cursor, cursor.copy(ledger.COPY_ROWS) as copying:
        copying.write(sealed.copy_rows(range(start, stop)))


@pytest.mark.parametrize("own", [False, True])
def test_an_import_seals_once_and_copies_its_rows_itself(workspace: Workspace, newsletter: int, own: bool) -> None:
    first = secrets.randbits(40)
    people = list(range(first, first + 1001))
    sealed = ledger.seal_rows(
        workspace.id,
        people,
        purpose_id=newsletter,
        basis="consent",
        since=[day(-(i % 9)) for i in range(1001)] if own else MONDAY,
        evidence_id=9,
        proofs=[f"fichier\tligne\\{i}\n" for i in range(1001)] if own else None,
    )
    assert (sealed.block, sealed.lines) == (1, 1001)
    report = ledger.verify(workspace.id)
    assert report.ok and (report.lines, report.readable) == (1001, 0)  # a crash here mails nobody
    copy(sealed, 500, 1001)
    copy(sealed, 0, 500)
    report = ledger.verify(workspace.id)
    assert report.ok and report.readable == 1001
    ledger.append(workspace.id, [Line(people[0], newsletter, "withdrawn", "consent", day(1))])
    assert ledger.verify(workspace.id).ok
    assert value("SELECT count(*) FROM consent_permission WHERE contact_id = %s", [people[0]]) == 2


def test_an_import_cannot_give_a_second_present_answer(workspace: Workspace, someone: int, newsletter: int) -> None:
    ledger.append(workspace.id, [Line(someone, newsletter, "withdrawn", "consent", MONDAY)])
    sealed = ledger.seal_rows(workspace.id, [someone], purpose_id=newsletter, basis="consent", since=day(-9))
    with pytest.raises(Exception, match="consent_permission_present"):
        copy(sealed, 0, 1)
    assert rows("SELECT state FROM consent_permission WHERE contact_id = %s", [someone]) == [("withdrawn",)]


def test_a_bulk_seal_refuses_what_does_not_fit_together(workspace: Workspace, newsletter: int) -> None:
    for wrong, sentence in (
        ({"since": [MONDAY]}, None),
        ({"since": [MONDAY] * 3}, "one date"),
        ({"since": MONDAY, "proofs": ["a"]}, "one proof"),
        ({"since": datetime.now(UTC) + timedelta(days=1)}, "future"),
    ):
        if sentence:
            with pytest.raises(ValueError, match=sentence):
                ledger.seal_rows(workspace.id, [1, 2], purpose_id=newsletter, basis="consent", **wrong)
    with pytest.raises(ValueError, match="at least|1 to"):
        ledger.seal_rows(workspace.id, [], purpose_id=newsletter, basis="consent", since=MONDAY)
    assert ledger.head(workspace.id) is None
