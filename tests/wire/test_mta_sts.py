"""Policies of MTA-STS and the record that names them (RFC 8461)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire import mta_sts
from envol.wire.mta_sts import PolicyError

# The example of RFC 8461 §3.2.
TEXT = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\n"
    b"max_age: 604800\r\n"
)


def test_the_example_of_the_standard() -> None:
    policy = mta_sts.parse(TEXT)
    assert (policy.mode, policy.max_age) == ("enforce", 604800)
    assert policy.mx == ("mail.example.com", "*.example.net", "backupmx.example.com")


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("mail.example.com", True),
        ("MAIL.example.com.", True),
        ("mx1.example.net", True),
        ("a.mx1.example.net", False),  # a wildcard is one label
        ("example.net", False),
        ("evil-mail.example.com", False),
    ],
)
def test_which_hosts_a_policy_names(host: str, fits: bool) -> None:
    assert mta_sts.parse(TEXT).matches(host) is fits


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"mode: enforce\nmx: a.example\nmax_age: 1\n",
        b"version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
        b"version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.example\n",
        b"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
        b"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx a.example\nmax_age: 1\n",
        b"\xff\xfe",
        b"version: STSv1\n" * 10_000,
        b"<!doctype html><title>Not found</title>",
    ],
)
def test_what_is_no_policy_is_refused(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        mta_sts.parse(raw)


def test_line_ends_and_unknown_fields_do_not_matter_and_ages_have_an_end() -> None:
    policy = mta_sts.parse(b"version: STSv1\nmode: none\nmax_age: 9999999999\nfuture: yes\nmode: enforce\n")
    assert (policy.mode, policy.max_age, policy.mx) == ("none", mta_sts.MOST_AGE, ())


@pytest.mark.parametrize(
    ("records", "named"),
    [
        (["v=STSv1; id=20260101T000000;"], "20260101T000000"),
        (["v=STSv1;id=1"], "1"),
        (["v=spf1 -all", "v=STSv1; id=2;"], "2"),
        (["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
        (["v=STSv1; id=a-b;"], None),
        (["v=STSv10; id=1;"], None),
        ([], None),
    ],
)
def test_the_record(records: list[str], named: str | None) -> None:
    assert mta_sts.policy_id(records) == named


@given(st.binary(max_size=500))
def test_any_bytes_are_a_policy_or_refused(raw: bytes) -> None:
    try:
        mta_sts.parse(raw)
    except PolicyError:
        pass
