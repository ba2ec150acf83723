"""The shell of an HLK package, for driver updates (DUA), and whether a package was made from one.

**Built without a real sample**, as all of drivers/hlkx.py: that a shell is the package without driver payload and
results is documented, what Microsoft leaves in it is not (docs/explanation/hlkx.md). Here it is an allow list: the
PackageInfo.xml and the parts that the package's relationships call ``coredata``, no driver being in them. Left out are
``streamdata``, drivers wherever they were found, the signature, and whatever else there is.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final
from xml.sax.saxutils import quoteattr

from hwdash.drivers.findings import Finding
from hwdash.drivers.hlkx import PACKAGE_INFO, Hlkx, PackageInfo
from hwdash.drivers.opc import (
    CONTENT_TYPES,
    RELATIONSHIPS_NAMESPACE,
    RELATIONSHIPS_TYPE,
    TYPES_NAMESPACE,
    Part,
    Relationship,
)
from hwdash.drivers.package import listing

UNPROVEN_SHELL: Final = (
    "The driver update shell (derivedPackage) was built without a real sample of one: what HLK Studio makes of it is "
    "not known."
)
_CORE_DATA: Final = "/coredata"
_ROOT_RELATIONSHIPS: Final = "_rels/.rels"
_LONGEST: Final = 500  # characters of a text, of a stranger's
_MOST: Final = 1000
_DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>'


def write_shell(package: Hlkx, out: BinaryIO, when: datetime) -> None:
    """Write the shell of ``package`` to ``out``: the same package and ``when`` give the same bytes.

    Call ``check_limits`` first; ParseError as there.
    """
    links = package.package.relationships()
    kept = _kept(package, links)
    links = tuple(link for link in links if not link.external and link.target.lower() in kept)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, pieces: Iterator[bytes]) -> None:
            entry = zipfile.ZipInfo(name, when.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as member:
                for piece in pieces:
                    member.write(piece)

        add(CONTENT_TYPES, iter([_content_types(list(kept.values()))]))
        add(_ROOT_RELATIONSHIPS, iter([_relationships(links)]))
        for part in kept.values():
            add(part.name.removeprefix("/"), package.package.pieces(part))


def _kept(package: Hlkx, links: tuple[Relationship, ...]) -> dict[str, Part]:
    """The parts of the shell by their names in lower case."""
    with_drivers = {file.part.lower() for file in package.files}
    core = {link.target.lower() for link in links if not link.external and link.type.endswith(_CORE_DATA)}
    names = [PACKAGE_INFO.lower(), *sorted(core - with_drivers - {PACKAGE_INFO.lower()})]
    return {name: part for name in names if (part := package.package.part(name)) is not None}


def _content_types(parts: list[Part]) -> bytes:
    inside = f'<Default Extension="rels" ContentType="{RELATIONSHIPS_TYPE}"/>'
    inside += "".join(
        f"<Override PartName={quoteattr(part.name)} ContentType={quoteattr(part.content_type)}/>" for part in parts
    )
    return f'{_DECLARATION}<Types xmlns="{TYPES_NAMESPACE}">{inside}</Types>'.encode()


def _relationships(links: tuple[Relationship, ...]) -> bytes:
    inside = "".join(
        f"<Relationship Type={quoteattr(each.type)} Target={quoteattr(each.target)} Id={quoteattr(each.id)}/>"
        for each in links
    )
    return f'{_DECLARATION}<Relationships xmlns="{RELATIONSHIPS_NAMESPACE}">{inside}</Relationships>'.encode()


def _bounded(texts: Sequence[str]) -> list[str]:
    return [each[:_LONGEST] for each in texts[:_MOST]]


def package_facts(info: PackageInfo) -> dict[str, Any]:
    """What a derived package is later held against, as JSON."""
    return {
        "project": None if info.project is None else info.project[:_LONGEST],
        "formatVersion": None if info.format_version is None else info.format_version[:_LONGEST],
        "operatingSystems": _bounded(info.operating_systems),
        "driverIds": _bounded(info.driver_ids),
        "replacedDriverIds": _bounded(info.replaced_driver_ids),
        "tests": None if info.tests is None else [info.tests.passed, info.tests.failed, info.tests.not_run],
    }


def check_derived(own: Mapping[str, Any], initial: Mapping[str, Any] | None, name: str) -> list[Finding]:
    """Whether a package with these facts is an update of the package with those of ``initial`` (contract/dashboard.md
    49, 61 and 62). ``initial`` is None when nothing was kept of it.
    """
    if initial is None or own["project"] is None or initial["project"] is None:
        return [_finding("package.derived-unknown", "warning", name)]
    found = []
    if own["project"].strip().casefold() != initial["project"].strip().casefold():
        found.append(_finding("package.derived-project", "error", name, own["project"], initial["project"]))
    if added := [code for code in own["operatingSystems"] if code not in initial["operatingSystems"]]:
        found.append(_finding("package.derived-systems", "error", name, listing(added)))
    if own["formatVersion"] != initial["formatVersion"]:
        found.append(
            _finding("package.derived-format", "warning", name, own["formatVersion"], initial["formatVersion"])
        )
    if own["tests"] is not None and own["tests"] != initial["tests"]:
        found.append(_finding("package.derived-results", "warning", name))
    replaced = own["replacedDriverIds"]
    if replaced and not set(replaced) & set(initial["driverIds"]):
        found.append(_finding("package.derived-replaces", "warning", name, listing(replaced)))
    return found


_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "package.derived-unknown": (
        "Whether the package was made from the shell of the initial submission cannot be told: one of the two does not "
        "name its project.",
        "Download the derivedPackage of the initial submission, and replace its drivers in HLK Studio.",
    ),
    "package.derived-project": (
        "The package is of the project {0!r}, the initial submission of {1!r}.",
        "Download the derivedPackage of this product's initial submission, and replace its drivers in HLK Studio.",
    ),
    "package.derived-systems": (
        "The package names operating systems that the initial submission was not tested for: {0}.",
        "An update inherits the operating systems of the initial submission. Create a new product for others.",
    ),
    "package.derived-format": (
        "The package has the format version {0}, the initial submission {1}.",
        "If HLK Studio cannot open it, make it anew from the downloaded shell with a current HLK Studio.",
    ),
    "package.derived-results": (
        "The numbers of passed and failed tests are not those of the initial submission; an update replaces drivers "
        "only.",
        "Make the package from the shell of the initial submission.",
    ),
    "package.derived-replaces": (
        "The package says that its drivers replace {0}, which the initial submission does not have.",
        "Make the package from the shell of the initial submission, not from that of another update.",
    ),
}


def _finding(rule: str, level: Any, name: str, *values: object) -> Finding:
    message, remedy = _TEXTS[rule]
    return Finding(rule=rule, level=level, message=message.format(*values), remedy=remedy, file=name, inferred=True)
