"""Write what a signature is worth into docs/explanation/what-a-signature-is-worth.md, from hwdash.domain.trust."""

from pathlib import Path

from hwdash.domain.trust import NOTES, Kind, Verdict, verdicts

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "what-a-signature-is-worth.md"
HEAD = "| Windows | Secure Boot | set-up | verdict | why | source |\n|---|---|---|---|---|---|\n"


def table(kind: Kind) -> str:
    """The verdicts as a table in Markdown."""
    rows = (
        (each.windows.name, _state(each), each.set_up, f"**{each.answer}**", each.why, each.source)
        for each in verdicts(kind)
    )
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _state(verdict: Verdict) -> str:
    return "on" if verdict.secure_boot else "off"


def notes() -> str:
    """What holds beside them, as a list."""
    return "".join(f"- {note} ({source})\n" for note, source in NOTES)


def written(text: str) -> str:
    """The page with its tables and notes made anew."""
    for heading, content in (
        ("Kernel-mode packages", table(Kind.KERNEL)),
        ("User-mode packages", "UMDF drivers, components, and INFs without any code.\n\n" + table(Kind.USER)),
        ("Beside that", notes()),
    ):
        before, _, rest = text.partition(f"## {heading}\n\n")
        _, following, after = rest.partition("\n## ")
        text = f"{before}## {heading}\n\n{content}{following}{after}"
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
