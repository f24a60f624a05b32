from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.contacts.models import Contact, Order, OrderLine
from envol.contacts.orders import NewLine, NewOrder, add_bulk

T0 = datetime(2026, 1, 5, tzinfo=UTC)
GOOD = NewOrder("A-1", T0, 2990, "EUR", "Zoe@lecteurs.example", None, [NewLine("Kind of Blue", "jazz", 2, 2990)], "DIX")


def test_an_order_is_stored_once_however_often_it_comes(workspace: Workspace, zoe: Contact) -> None:
    assert add_bulk(workspace, [GOOD, GOOD]).__dict__ == {"added": 1, "known": 1, "refused": []}
    assert add_bulk(workspace, [GOOD._replace(amount=1)]).known == 1
    order = Order.objects.get(workspace_id=workspace.id)
    assert (order.contact_id, order.amount, order.currency, order.at, order.code) == (zoe.pk, 2990, "EUR", T0, "DIX")
    line = OrderLine.objects.get(order_id=order.pk)
    assert (line.product, line.category, line.quantity, line.amount) == ("Kind of Blue", "jazz", 2, 2990)


def test_the_same_number_may_be_used_by_two_workspaces(workspace: Workspace, zoe: Contact) -> None:
    other = create_workspace(workspace.name + "-other")
    assert add_bulk(workspace, [GOOD]).added == 1
    (refused,) = add_bulk(other, [GOOD, GOOD._replace(external_id="A-2", contact_id=zoe.pk)]).refused[1:]
    assert "nobody here" in refused[1]  # a contact of another workspace is nobody


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"external_id": " "}, "needs an id"),
        ({"at": datetime(2026, 1, 5)}, "time zone"),
        ({"at": datetime.now(UTC) + timedelta(days=9)}, "not possible"),
        ({"currency": "euro"}, "three letters"),
        ({"amount": 12.5}, "whole cents"),
        ({"amount": 10**16}, "whole cents"),
        ({"address": "zoe"}, "no @"),
        ({"address": "nobody@lecteurs.example"}, "nobody here"),
        ({"code": "x" * 61}, "60 characters"),
        ({"lines": [NewLine(" ")]}, "product"),
        ({"lines": [NewLine("x", "", 1.5)]}, "quantity"),
    ],
)
def test_a_malformed_order_is_refused_with_a_sentence_and_the_others_are_stored(
    workspace: Workspace, zoe: Contact, change: dict, sentence: str
) -> None:
    bad = GOOD._replace(external_id="A-2")._replace(**change)
    result = add_bulk(workspace, [bad, GOOD])
    assert result.added == 1
    assert [place for place, _ in result.refused] == [0] and sentence in result.refused[0][1]


def test_many_orders_come_in_batches(workspace: Workspace, add: Callable[..., Contact]) -> None:
    buyers = [add(f"p{i}") for i in range(3)]
    many = (
        NewOrder(f"N-{i}", T0, i, contact_id=buyers[i % 3].pk, lines=[NewLine("x", "", 1, i)] * (i % 2))
        for i in range(12_000)
    )
    assert add_bulk(workspace, many).added == 12_000
    assert Order.objects.filter(contact_id=buyers[0].pk).count() == 4000
    assert (
        OrderLine.objects.filter(order_id__in=Order.objects.filter(workspace_id=workspace.id).values("id")).count()
        == 6000
    )
