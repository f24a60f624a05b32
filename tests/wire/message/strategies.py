"""Strings for property tests: what people, spreadsheets and attackers put into a field."""

from hypothesis import strategies as st

# What must be refused in a header: each ends a line for somebody, or cannot be encoded.
FORBIDDEN = [
    "\r",
    "\n",
    "\r\n",
    "\x00",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1e",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\ud800",
]

letters = st.characters(
    blacklist_categories=("Cs", "Cc", "Zl", "Zp"),
)
line_of_text = st.text(
    st.one_of(letters, st.sampled_from("éàçœÉ 😀 \"\\(),.:;<>@[]=?_'-")),
    max_size=300,
)
body_text = st.lists(
    st.one_of(
        st.text(max_size=120),
        st.sampled_from(["From ", "\n.", "  ", "\r\n", "\r", "\n\n", " \n", "\t\n", "é" * 30, "x" * 74, "=", "\ufeff"]),
    ),
    max_size=12,
).map("".join)


def poisoned(bad: str) -> st.SearchStrategy[str]:
    """A text with `bad` somewhere in it, followed by something an attacker would like to be a header."""
    return st.builds(lambda a, b: a + bad + "Bcc: victim@else.example" + b, line_of_text, line_of_text)
