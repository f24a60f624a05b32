"""Files of orders: which column is what. What a file does with them: `envol.contacts.imports.order_lines`.

A row of the file is a line of an order; rows with the same number are one order. What is true of the whole order
(buyer, date, currency, total) may stand on each of its rows or on the first one only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext

from envol.contacts.imports.formats import is_address
from envol.contacts.imports.mapping import Column, header_target, must_be_open, plain, proposal, table_of
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import

BUYERS = ("email", "identifier:customer", "identifier:external")
AMOUNTS = ("amount", "line", "unit", "lines")
TARGETS = (
    "order",
    "date",
    *BUYERS,
    "amount",
    "currency",
    "code",
    "product",
    "category",
    "quantity",
    "line",
    "unit",
    "lines",
)

# Headers as shops and tills write them.
_HEADERS = table_of(
    {
        "order": "commande order name|order id|order number|order no|order ref|n commande|no commande|num commande|"
        "numero de commande|numero commande|reference|reference commande|ref commande|id commande|transaction|"
        "transaction id|facture|n facture|numero de facture|invoice|invoice number|id",
        "email": "email courriel|e mail|customer email|billing email|email client|e mail client|"
        "e mail du client|buyer email",
        "date": "date|date de commande|date commande|date de la commande|order date|created at|paid at|date d achat|"
        "date achat|purchase date|ordered at|date created|date de vente",
        "amount": "montant total amount|montant total|total ttc|montant ttc|order total|total amount|grand total|"
        "total de la commande|total commande|montant de la commande",
        "currency": "devise currency|monnaie|code devise|currency code",
        "code": "code promo|code promotionnel|code reduction|code de reduction|code avantage|coupon|coupon code|"
        "voucher|discount code|promo code|bon de reduction",
        "product": "produit article product item|product name|nom du produit|item name|lineitem name|designation|"
        "libelle|titre|title|sku",
        "category": "categorie category rayon|famille|product type|product category|type de produit",
        "quantity": "quantite qte qty quantity|lineitem quantity|nombre",
        "line": "linetotal|montant ligne|montant de la ligne|total ligne|total de la ligne|line total|"
        "line amount|sous total",
        "unit": "prix price|prix unitaire|unit price|pu|lineitem price|item price",
        "lines": "lines lignes items|line items|lineitems",
    }
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}.*|\d{1,2}[./-]\d{1,2}[./-]\d{4}.*")


def proposed(imp: Import, sample: list[list[str]]) -> list[Column]:
    """A target for each column of a file of people or of orders."""
    return order_proposal(imp, sample) if imp.what == "orders" else proposal(imp, sample)


def order_proposal(imp: Import, sample: list[list[str]]) -> list[Column]:
    """From the last import of orders, headers and values."""
    names: list[str] = imp.format["columns"]
    shown = imp.format.get("samples", [[] for _ in names])
    last = (
        Import.objects.filter(workspace_id=imp.workspace_id, what="orders", state__in=["done", "running", "checked"])
        .order_by("-id")
        .values_list("mapping", flat=True)
        .first()
    ) or {}
    taken: set[str] = set()
    found: list[Column] = []
    for i, name in enumerate(names):
        values = [row[i].strip() for row in sample if i < len(row) and row[i].strip()]
        header = plain(name)
        buyer = header_target(header)
        candidates = [
            (last.get(name, ""), "last import"),
            (_HEADERS.get(header, ""), "header"),
            (buyer if buyer in BUYERS else "", "header"),
            ("email" if values and all(map(is_address, values[:20])) else "", "values"),
        ]
        target, why = next(
            (
                (target, why)
                for target, why in candidates
                if target in TARGETS and target not in taken and _may_be(target, values)
            ),
            ("skip", "unknown"),
        )
        taken.add(target)
        found.append(Column(name, shown[i] if i < len(shown) else [], target, why))
    return _totals(found, sample)


def looks_like_orders(imp: Import) -> bool:
    """Would the columns of this file do for orders by their names alone?"""
    found = {column.target for column in order_proposal(imp, [])}
    return {"order", "date"} <= found and bool(found & set(BUYERS)) and bool(found & set(AMOUNTS))


def _may_be(target: str, values: list[str]) -> bool:
    some = values[:100]
    if not some:
        return True
    if target == "email":
        return any(map(is_address, some))
    if target == "date":
        return any(map(_DATE.fullmatch, some))
    return True


def _totals(columns: list[Column], sample: list[list[str]]) -> list[Column]:
    """An amount that differs within one order is that of a line."""
    place = {column.target: i for i, column in enumerate(columns)}
    if "order" not in place or "amount" not in place or "line" in place:
        return columns
    of: dict[str, set[str]] = {}
    for row in sample:
        if max(place["order"], place["amount"]) < len(row) and row[place["amount"]].strip():
            of.setdefault(row[place["order"]], set()).add(row[place["amount"]].strip())
    if any(len(amounts) > 1 for amounts in of.values()):
        columns[place["amount"]] = columns[place["amount"]]._replace(target="line", why="values")
    return columns


def set_order_mapping(imp: Import, mapping: Mapping[str, str], currency: str = "") -> Import:
    """Decide what each column becomes; columns left out are skipped. A dry run made before is void.

    ``currency`` is that of orders that do not say theirs. Raises ImportProblem.
    """
    must_be_open(imp)
    names = imp.format["columns"]
    if unknown := [name for name in mapping if name not in names]:
        raise ImportProblem(
            gettext("The file has no column “%(name)s”; it has: %(names)s.")
            % {"name": unknown[0][:60], "names": ", ".join(sorted(names))[:400]}
        )
    seen: set[str] = set()
    for name, target in mapping.items():
        if target not in TARGETS and target != "skip":
            raise ImportProblem(gettext("“%(name)s” is nothing a column can become.") % {"name": target[:60]})
        if target in seen and target != "skip":
            raise ImportProblem(
                gettext("Two columns cannot both become %(target)s: skip one (“%(name)s”, for instance).")
                % {"target": target, "name": name}
            )
        seen.add(target)
    if "order" not in seen:
        raise ImportProblem(gettext("No column is the number of the order: choose which one is."))
    if "date" not in seen:
        raise ImportProblem(gettext("No column is the date of the order: choose which one is."))
    if not seen & set(BUYERS):
        raise ImportProblem(
            gettext("No column says who bought: choose the e-mail address, the customer number or the identifier.")
        )
    if not seen & set(AMOUNTS):
        raise ImportProblem(
            gettext("No column is an amount: choose the total of the order, that of a line, or the unit price.")
        )
    if seen & {"line", "unit", "category", "quantity"} and "product" not in seen:
        raise ImportProblem(gettext("Lines need a name: choose the column of the product, or skip those of the lines."))
    currency = currency.strip().upper() or "EUR"
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise ImportProblem(gettext("Write the currency as three letters, such as EUR."))
    imp.mapping = {name: mapping.get(name, "skip") for name in names}
    imp.currency, imp.state, imp.counts = currency, "mapped", {}
    imp.save(update_fields=["mapping", "currency", "state", "counts"])
    return imp
