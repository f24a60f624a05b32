"""Write docs/journeys.md from what the journeys' tests measured: ``make journeys`` runs them and then this."""

from __future__ import annotations

import json
from pathlib import Path

from tests.journeys.traveller import LOG

PAGE = Path(__file__).resolve().parents[2] / "docs" / "journeys.md"
HEAD = """# Journeys

What a newcomer does, from the first link to the measured campaign, each played in Chromium with the keyboard alone
(`tests/journeys/`). A click is Enter, Space on a box or a pointer action on the way one would take; typing is not
counted. Seconds are those of the test, which types at once: they say what waits, not how long a person reads.
`make journeys` plays them all and writes this page.

| # | journey | clicks allowed | clicks, French | clicks, English | seconds, French | seconds, English |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> None:
    known = json.loads(LOG.read_text()) if LOG.exists() else {}
    paints = {language: known.pop(f"paints.{language}", None) for language in ("fr", "en")}
    numbers = sorted({one["number"] for one in known.values()})
    lines, steps, sums = [], [], {"fr": 0, "en": 0, "most": 0}
    for number in numbers:
        both = {language: known.get(f"{number}.{language}") for language in ("fr", "en")}
        one = both["en"] or both["fr"]
        cells = [str(both[x]["clicks"]) if both[x] else "–" for x in ("fr", "en")]
        cells += [f"{both[x]['seconds']:.1f}" if both[x] else "–" for x in ("fr", "en")]
        lines.append(f"| {number} | {one['title']} | {one['most']} | " + " | ".join(cells) + " |")
        steps.append(f"{number}. **{one['title']}**: " + " → ".join(one["steps"]))
        sums["most"] += one["most"]
        for language, found in both.items():
            sums[language] += found["clicks"] if found else 0
    lines.append(f"| | **the whole road** | **{sums['most']}** | **{sums['fr']}** | **{sums['en']}** | | |")
    said = " ".join(
        f"In {name}: median {p['median']:.0f} ms, 98th percentile {p['p98']:.0f} ms, of {p['n']} interactions."
        for name, p in (("French", paints["fr"]), ("English", paints["en"])) if p
    )  # fmt: skip
    if said:
        lines += [
            "",
            "Interaction to next paint, as the browser measured it on the whole road (budget 200 ms). " + said,
        ]
    PAGE.write_text(HEAD + "\n".join(lines) + "\n\n## The clicks, one by one\n\n" + "\n".join(steps) + "\n")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
