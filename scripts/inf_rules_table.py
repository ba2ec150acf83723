"""Write the table of docs/reference/inf-rules.md anew, from the rules as they are in the code.

Run: ``.venv/bin/python scripts/inf_rules_table.py`` after a rule has come, gone, or changed what it stands on. Only
what stands between the two markers changes.
"""

from pathlib import Path

from hwdash.drivers.inf.verify import CODES, RULES
from hwdash.drivers.inf.verify.coverage import GIVEN_ELSEWHERE, INFERRED, UNCHECKED

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "inf-rules.md"
BEGIN = "<!-- table: scripts/inf_rules_table.py -->"
END = "<!-- end of table -->"


def checked(code: int) -> str:
    """The last cell: ``yes``, ``inferred``, or why a code is not judged."""
    if code in INFERRED:
        return "inferred"
    return "yes" if code in RULES or code in GIVEN_ELSEWHERE else UNCHECKED[code]


def table() -> str:
    """A sentence with the counts, and a row for each documented code."""
    cells = {code: checked(code) for code in CODES}
    judged = [cell for cell in cells.values() if cell in ("yes", "inferred")]
    lines = [
        f"Of {len(CODES)} documented codes, {len(judged)} are judged, {judged.count('inferred')} of these by inferred",
        f"criteria. Of the other {len(CODES) - len(judged)} the last column says why they are not.",
        "",
        "| code | name | meaning | declarative | universal | windows | checked |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, code in CODES.items():
        levels = (level or "-" for level in (code.declarative, code.universal, code.windows))
        row = (str(number), code.slug, code.meaning, *levels, cells[number])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
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
