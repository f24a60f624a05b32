"""A secret is proved, not told: the published example, and whatever a stranger writes instead."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.scram import Exchange, Verifier, Wrong

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT, SERVER = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FINAL = f"c=biws,r={CLIENT}{SERVER},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


def asked(first: str = f"n,,n=user,r={CLIENT}", secret: str = "pencil") -> Exchange:
    exchange = Exchange()
    exchange.first(first)
    exchange.challenge(Verifier.read(str(Verifier.of(secret, SALT))), SERVER)
    return exchange


def test_the_example_of_rfc_7677() -> None:
    exchange = Exchange()
    assert exchange.first(f"n,,n=user,r={CLIENT}") == "user"
    said = exchange.challenge(Verifier.of("pencil", SALT), SERVER)
    assert said == f"r={CLIENT}{SERVER},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert exchange.final(FINAL) == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_another_secret_proves_nothing() -> None:
    assert asked(secret="pencils").final(FINAL) is None
    assert asked().final(FINAL.replace("p=dH", "p=eH")) is None
    assert asked().final(FINAL.partition(",p=")[0] + ",p=YWJj") is None


@pytest.mark.parametrize(
    "first",
    ["", "n,,n=user", "p=tls-exporter,,n=user,r=x", "n,a=other,n=user,r=x", "n,,m=ext,n=user,r=x", "n,,n=us=er,r=x",
     "n,,n=,r=x", "n,,n=user,r=", "n,,n=user,r=a b"],
)  # fmt: skip
def test_what_is_no_first_message(first: str) -> None:
    with pytest.raises(Wrong):
        Exchange().first(first)


@pytest.mark.parametrize(
    "final", ["", FINAL.replace("biws", "eSws"), FINAL.replace(SERVER, "x"), FINAL.replace("p=dH", "p=d!"), FINAL + ","]
)
def test_what_is_no_last_message_of_this_exchange(final: str) -> None:
    with pytest.raises(Wrong):
        asked().final(final)


def test_names_are_read_as_they_were_meant() -> None:
    assert Exchange().first("y,a=a=2Cb=3D,n=a=2Cb=3D,r=x,e=later") == "a,b="


@given(st.text(max_size=60), st.text(max_size=80))
def test_nothing_a_client_writes_breaks_it(first: str, final: str) -> None:
    exchange = Exchange()
    try:
        exchange.first(first)
    except Wrong:
        exchange = asked()
    else:
        exchange.challenge(Verifier.of("pencil", SALT, 1), SERVER)
    try:
        assert exchange.final(final) is None
    except Wrong:
        pass
