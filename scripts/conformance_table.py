"""Write the table of docs/reference/conformance.md anew, from the rows as they are in the code.

Run: ``.venv/bin/python scripts/conformance_table.py`` after a row has come, gone or changed. Only what stands between
the two markers changes.
"""

from collections import Counter
from pathlib import Path

from hwdash.conformance.outcome import Source
from hwdash.conformance.rows import ROWS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "conformance.md"
BEGIN = "<!-- table: scripts/conformance_table.py -->"
END = "<!-- end of table -->"


def table() -> str:
    """A sentence with the counts, and a line for each row."""
    count = Counter(row.source for row in ROWS)
    counted = ", ".join(f"{count[source]} {source}" for source in Source)
    lines = [f"There are {len(ROWS)} rows: {counted}.", "", "| row | what | source |", "|---|---|---|"]
    lines += [f"| `{row.id}` | {row.title.replace('|', '&#124;')} | {row.source} |" for row in ROWS]
    return "\n".join(lines)


def main() -> None:
    """Rewrite the page."""
    before, begin, rest = PAGE.read_text("utf-8").partition(f"{BEGIN}\n\n")
    _, end, after = rest.partition(f"\n\n{END}")
    if not begin or not end:
        raise SystemExit(f"{PAGE} lacks the markers {BEGIN} and {END}")
    PAGE.write_text(f"{before}{begin}{table()}{end}{after}", "utf-8")


if __name__ == "__main__":
    main()
