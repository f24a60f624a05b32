"""A file of orders: columns, dry run, run, stopped and run again, undone; half an order is never written."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from envol.accounts.jobs import Cancelled
from envol.accounts.models import Workspace
from envol.consent.registry import erase_person
from envol.contacts import imports
from envol.contacts.imports.order_lines import BATCH
from envol.contacts.models import Contact, Identifier, Import, ImportRefusal, Order, OrderLine
from envol.contacts.orders import NewOrder, add_bulk
from envol.db import value

SHOP = """Commande;E-mail;Date;Produit;Catégorie;Qté;Montant;Devise
A-1;Zoe@Lecteurs.example;14/03/2026;Kind of Blue;jazz;1;24,90 €;EUR
A-1;;;Le Horla;roman;2;12,00;
A-2;zoe@lecteurs.example;2026-03-15 23:30;Le Horla;roman;1;6;EUR
A-3;nobody@lecteurs.example;15/03/2026;Le Horla;roman;1;6,00;EUR
A-4;zoe@lecteurs.example;31/02/2026;Le Horla;roman;1;6,00;EUR
A-4;zoe@lecteurs.example;;Kind of Blue;jazz;1;24,90;EUR
"""


def bring(workspace: Workspace, tmp_path: Path, text: str, name: str = "ventes.csv", **more: Any) -> Import:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    imp = imports.receive(workspace, path, name, what="orders")
    return imports.set_order_mapping(imp, {**imp.mapping, **more})


def stored(workspace: Workspace) -> dict[str, tuple[int, str, list[tuple[str, str, int, int]]]]:
    return {
        one.external_id: (
            one.amount,
            one.currency,
            list(
                OrderLine.objects.filter(order_id=one.pk)
                .order_by("id")
                .values_list("product", "category", "quantity", "amount")
            ),
        )
        for one in Order.objects.filter(workspace_id=workspace.pk)
    }


def refused(imp: Import) -> dict[int, tuple[str, str]]:
    return {r.line: (r.cause, r.value) for r in ImportRefusal.objects.filter(import_id=imp.pk)}


def test_a_french_file_of_lines_becomes_orders(workspace: Workspace, zoe: Contact, tmp_path: Path) -> None:
    imp = bring(workspace, tmp_path, SHOP)
    assert imp.mapping == {
        "Commande": "order", "E-mail": "email", "Date": "date", "Produit": "product", "Catégorie": "category",
        "Qté": "quantity", "Montant": "line", "Devise": "currency",
    }  # fmt: skip
    planned = imports.dry_run(imp)
    assert not stored(workspace) and imp.state == "checked"
    assert {k: planned[k] for k in ("lines", "orders", "new", "known", "people", "nobody", "amounts")} == {
        "lines": 6, "orders": 4, "new": 2, "known": 0, "people": 1, "nobody": 1, "amounts": {"EUR": 4290},
    }  # fmt: skip
    assert planned["refused"] == {"nobody": 1, "order": 1, "order_part": 1}
    why = refused(imp)
    assert why[5][0] == "nobody" and why[6][0] == "order" and "31/02/2026" in why[6][1] and why[7][0] == "order_part"

    done = imports.run(imp)
    assert (done["written"], done["left"], imp.state) == (2, 0, "done")
    assert stored(workspace) == {
        "A-1": (3690, "EUR", [("Kind of Blue", "jazz", 1, 2490), ("Le Horla", "roman", 2, 1200)]),
        "A-2": (600, "EUR", [("Le Horla", "roman", 1, 600)]),
    }
    assert Order.objects.get(external_id="A-2", workspace_id=workspace.pk).at == datetime(
        2026, 3, 15, 22, 30, tzinfo=UTC
    ), "a clock without a zone is that of the workspace"
    assert not (tmp_path / imp.path).exists()


def test_the_same_file_again_writes_nothing_and_undo_takes_only_its_own(
    workspace: Workspace, zoe: Contact, tmp_path: Path
) -> None:
    lines = (
        "SELECT count(*) FROM contacts_order_line l WHERE NOT EXISTS (SELECT FROM contacts_order WHERE id = order_id)"
    )
    before = value(lines)
    add_bulk(workspace, [NewOrder("A-2", datetime(2026, 1, 1, tzinfo=UTC), 100, contact_id=zoe.pk)])
    first = bring(workspace, tmp_path, SHOP)
    assert (imports.run(first)["written"], first.counts["known"]) == (1, 1)
    again = bring(workspace, tmp_path, SHOP)
    assert (imports.run(again)["written"], again.counts["known"]) == (0, 2)
    assert imports.undo(first) == {"orders": 1}
    assert list(stored(workspace)) == ["A-2"]
    assert value(lines) == before, "no line without its order"
    with pytest.raises(imports.ImportProblem, match="undone already"):
        imports.undo(first)


def test_buyers_are_found_by_their_number_too(workspace: Workspace, zoe: Contact, tmp_path: Path) -> None:
    Identifier.objects.create(workspace_id=workspace.pk, contact_id=zoe.pk, kind="customer", value="C-7")
    imp = bring(
        workspace, tmp_path, "order,customer number,date,total\n1,C-7,2026-01-02,10.00\n2,C-8,2026-01-02,10.00\n"
    )
    assert imp.mapping["customer number"] == "identifier:customer" and imp.mapping["total"] == "amount"
    assert imports.run(imp)["written"] == 1
    assert stored(workspace) == {"1": (1000, "EUR", [])}


def test_the_code_of_an_order_may_stand_on_one_of_its_lines(workspace: Workspace, zoe: Contact, tmp_path: Path) -> None:
    text = (
        "commande;email;date;produit;montant ligne;code promo\n"
        "C1;zoe@lecteurs.example;2026-01-02;Vian;10,00;\nC1;zoe@lecteurs.example;2026-01-02;Perec;12,00;RENTREE10\n"
        "C2;zoe@lecteurs.example;2026-01-03;Perec;12,00;\n"
    )
    imp = bring(workspace, tmp_path, text)
    assert imp.mapping["code promo"] == "code"
    imports.run(imp)
    found = Order.objects.filter(workspace_id=workspace.pk).order_by("external_id").values_list("external_id", "code")
    assert list(found) == [("C1", "RENTREE10"), ("C2", "")]


def test_json_lines_may_hold_the_lines_of_an_order(workspace: Workspace, zoe: Contact, tmp_path: Path) -> None:
    rows = [
        {"order_id": "J1", "email": "zoe@lecteurs.example", "date": "2026-01-02T10:00:00+01:00", "currency": "CHF",
         "lines": [{"product": "CD", "category": "jazz", "quantity": 2, "price": "9.95"},
                   {"name": "Sac", "amount": 1}]},
        {"order_id": "J2", "email": "zoe@lecteurs.example", "date": "2026-01-02", "lines": [{"product": ""}]},
        {"order_id": "J3", "email": "zoe@lecteurs.example", "date": "2026-01-02", "lines": []},
    ]  # fmt: skip
    imp = bring(workspace, tmp_path, "\n".join(map(json.dumps, rows)), "ventes.jsonl")
    imports.run(imp)
    assert stored(workspace) == {"J1": (2090, "CHF", [("CD", "jazz", 2, 1990), ("Sac", "", 1, 100)])}
    why = refused(imp)
    assert why[2][0] == "order" and why[3][0] == "order_lacks" and "the amount" in why[3][1]


@pytest.mark.parametrize(
    ("rows", "cause", "said"),
    [
        ("1,ZOE,2026-01-02,10,EUR\n1,ZOE,2026-01-02,11,EUR", "order_differs", "amount"),
        ("1,ZOE,2026-01-02,10,EUR\n1,LOU@lecteurs.example,2026-01-02,10,EUR", "order_differs", "buyer"),
        ("1,ZOE,2026-01-02,10,EUR\n1,ZOE,2026-01-02,10,CHF", "order_differs", "curren"),
        ("1,ZOE,,10,EUR", "order_lacks", "the date"),
        ("1,ZOE,2026-01-02,,EUR", "order_lacks", "the amount"),
        ("1,,2026-01-02,10,EUR", "order_lacks", "the buyer"),
        (",ZOE,2026-01-02,10,EUR", "order", "missing"),
        ("1,zoe,2026-01-02,10,EUR", "order", "email"),
        ("1,ZOE,2026-01-02,ten,EUR", "order", "no number"),
        ("1,ZOE,2026-01-02,10.001,EUR", "order", "decimals"),
        ("1,ZOE,2999-01-02,10,EUR", "order", "future"),
        ("1,ZOE,2026-01-02,10,euro", "order", "three letters"),
        ("1,ZOE,2026-01-02,10", "columns", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_a_reason(
    workspace: Workspace, zoe: Contact, tmp_path: Path, rows: str, cause: str, said: str
) -> None:
    rows = rows.replace("ZOE", "zoe@lecteurs.example")
    text = f"order,email,date,total,currency\n{rows}\ngood,zoe@lecteurs.example,2026-01-02,1.00,EUR\n"
    imp = bring(workspace, tmp_path, text, total="amount")
    imports.run(imp)
    assert list(stored(workspace)) == ["good"]
    found = refused(imp)[2]
    assert found[0] == cause and said in found[1], found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Commande": "skip"}, "number of the order"),
        ({"Date": "skip"}, "date of the order"),
        ({"E-mail": "skip"}, "who bought"),
        ({"Montant": "skip"}, "amount"),
        ({"Produit": "skip"}, "Lines need a name"),
        ({"Produit": "order"}, "cannot both"),
        ({"Produit": "property:city"}, "nothing a column can become"),
        ({"Prix": "amount"}, "no column “Prix”"),
    ],
)
def test_columns_that_make_no_order_are_refused(
    workspace: Workspace, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    with pytest.raises(imports.ImportProblem, match=said):
        bring(workspace, tmp_path, SHOP, **change)


def test_a_stopped_import_goes_on_where_it_was(workspace: Workspace, zoe: Contact, tmp_path: Path) -> None:
    rows = "".join(f"N{n},zoe@lecteurs.example,2026-01-02,1.00\n" for n in range(2 * BATCH + 7))
    imp = bring(workspace, tmp_path, f"order,email,date,total\n{rows}")

    def stop(done: int, total: int | None, step: str) -> None:
        if step == "writing" and done:
            raise Cancelled

    with pytest.raises(Cancelled):
        imports.run(imp, stop)
    imp.refresh_from_db()
    assert imp.state == "cancelled" and imp.counts["written"] == BATCH and imp.counts["left"] == BATCH + 7
    assert imports.run(imp)["written"] == 2 * BATCH + 7
    assert Order.objects.filter(workspace_id=workspace.pk, import_id=imp.pk).count() == 2 * BATCH + 7
    assert imports.undo(imp) == {"orders": 2 * BATCH + 7}


def test_who_was_erased_is_not_kept_in_the_refused_lines(
    workspace: Workspace, add: Callable[..., Contact], tmp_path: Path
) -> None:
    lou = add("lou")
    erase_person(workspace.pk, lou.pk, lou.email_key, cause="request")
    imp = bring(workspace, tmp_path, "order,email,date,total\n1,lou@lecteurs.example,2026-01-02,1.00\n")
    assert imports.run(imp)["erased"] == 1
    assert not refused(imp) and not stored(workspace)


def test_a_file_of_people_with_order_columns_is_recognised_and_read_anew(
    workspace: Workspace, zoe: Contact, tmp_path: Path
) -> None:
    from envol.contacts.imports.orders import looks_like_orders

    path = tmp_path / "ventes.csv"
    path.write_text(SHOP, "utf-8")
    imp = imports.receive(workspace, path, "ventes.csv")
    assert imp.what == "people" and looks_like_orders(imp)
    imports.set_what(imp, "orders")
    assert imp.mapping["Commande"] == "order"
    (tmp_path / "gens.csv").write_text("email;prénom;date du consentement\nzoe@lecteurs.example;Zoé;2026-01-01\n")
    assert not looks_like_orders(imports.receive(workspace, tmp_path / "gens.csv", "gens.csv"))
