"""Does a letter that wants to leave look like fraud? Pure: a letter in, reasons with points out.

What it knows stands in readable data beside it: names that fraud borrows (`brands.toml`), what it says
(`phrases.toml`), what it pulls at (`levers.toml`), where it leads (`hosts.toml`), and what known letters have taught
(`learnt.tsv`). No network, no clock, no database;
bounded in time by what it reads.
"""

from envol.wire.fraud.judge import ALLOW, HOLD, REFUSE, Letter, Reason, Verdict, judge, verdict_of
from envol.wire.fraud.letter import letter_of

__all__ = ["ALLOW", "HOLD", "REFUSE", "Letter", "Reason", "Verdict", "judge", "letter_of", "verdict_of"]
