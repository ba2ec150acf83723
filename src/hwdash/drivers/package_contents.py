"""Rules on what is inside a driver package: what its INFs and binaries say, and whether that fits what it is for.

Sources: dashboard/code-signing-reqs.md, code-signing-attestation.md, hardware-submission-create.md, other-policies.md,
executable-version-numbers-audio-drivers.md, submit-dashboard-extension-inf-files.md, devtest/inf2cat.md,
install/inf-version-section.md, inf-driverver-directive.md, inf-signatureattributes-section.md;
facts/inf/package_rules.yaml. Where documents contradict each other a rule warns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.version import parse_guid
from hwdash.drivers.package import Kind, components, listing
from hwdash.drivers.pe_resources import FileVersion
from hwdash.vocabulary import operating_system

ATTESTED_BINARIES = (".sys", ".exe", ".dll", ".ocx")
"""Images that attestation signing is documented to process; the list's other kinds, .cab and .msi among them, are none.
"""

_AUDIO_CLASSES = {
    "4d36e96c-e325-11ce-bfc1-08002be10318",  # MEDIA
    "5989fce8-9cd0-467d-8a6a-5419e31529d4",  # AudioProcessingObject
}
_AUDIO_EXECUTABLES = (".sys", ".exe", ".dll", ".cpl")
# By what a section of [SignatureAttributes] has in it, and by the end of its name.
_SIGNATURE_ATTRIBUTES = {
    "elam": "early launch antimalware",
    "windowshello": "Windows Hello",
    "petrust": "the protected environment",
    "drmlevel": "DRM",
    "drm": "DRM",
    "halext": "HAL extensions",
}
_NEED_THE_HLK = ("elam", "windowshello")
# What an INF need not name.
_FOR_THE_SERVICE = (".inf", ".cat", ".pdb")
# An image linked in the evening carries the next day's date elsewhere.
_CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Binary:
    """What the rules need of a PE image. ``path`` has slashes; ``linked`` is None when the image does not say."""

    path: str
    has_code: bool
    version: FileVersion | None
    is_elam: bool
    linked: date | None

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot, in lower case."""
        return "." + self.path.lower().rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class DriverFolder:
    """A driver folder: ``files`` are paths from the package's root; an INF's ``source`` is its path likewise."""

    name: str
    files: Sequence[str]
    infs: Sequence[Inf]
    binaries: Sequence[Binary]


def check_contents(folders: Sequence[DriverFolder], kind: Kind, today: date | None) -> list[Finding]:
    """What is wrong with the folders of a package. Without ``today`` (UTC) nothing is said about dates to come."""
    infs = [inf for folder in folders for inf in folder.infs]
    found = [*_mixed_extension(infs)]
    for folder in folders:
        for inf in folder.infs:
            found += [*_driver_ver(inf, folder, today), *_catalog_name_twice(inf), *_signature_attributes(inf, kind)]
        found += [*_binary_kinds(folder, kind), *_audio_versions(folder), *_unreferenced_files(folder)]
    return found


def check_signatures(codes: Sequence[str], kind: Kind) -> list[Finding]:
    """Whether the signatures that are asked for can be had together for a package of that kind."""
    systems = [known for code in codes if (known := operating_system(code, accept_new=True)) is not None]
    if kind == "attestation":
        return [
            Finding(
                rule="package.signature-not-attested",
                level="error",
                message=f"{system.code} cannot be had by attestation: it signs for Windows 10 and later clients only.",
                remedy="Create a product that requests client signatures of Windows 10 or later.",
            )
            for system in systems
            if system.major < 10 or system.server
        ]
    older = [system.code for system in systems if system.major < 10]
    if kind == "whql" and older and len(older) < len(systems):
        return [
            Finding(
                rule="package.mixed-windows",
                level="warning",
                message=f"Signatures for Windows before 10 ({listing(older)}) are requested together with newer ones. "
                "Microsoft's publishing policy rejects such submissions, while its kit lets them be merged.",
                remedy="Make a submission for each, if the driver is to be published on Windows Update.",
            )
        ]
    return []


def _mixed_extension(infs: Sequence[Inf]) -> Iterator[Finding]:
    extensions = [inf for inf in infs if inf.version.is_extension]
    if extensions and len(extensions) < len(infs):
        base = next(inf for inf in infs if not inf.version.is_extension)
        yield Finding(
            rule="package.mixed-extension",
            level="warning",
            message=f"An extension INF stands beside {base.source}, which is none: the whole submission and all its "
            "shipping labels count as an extension.",
            remedy="Submit the extension by itself and the base driver by itself.",
            file=extensions[0].source,
            line=extensions[0].version.line or None,
        )


def _driver_ver(inf: Inf, folder: DriverFolder, today: date | None) -> Iterator[Finding]:
    stamp = inf.version.driver_ver
    if stamp is None or stamp.date is None:
        return  # InfVerif's business: 1218, 1233
    if today is not None and stamp.date > today:
        yield Finding(
            rule="package.driverver-in-future",
            level="error",
            message=f"DriverVer has the date {stamp.date}; today is {today} in UTC. Inf2Cat refuses that (22.9.7).",
            remedy="Date it today or earlier, by UTC.",
            file=inf.source,
            line=stamp.line,
        )
    newer = [
        binary
        for binary in folder.binaries
        if binary.linked is not None
        and binary.linked > stamp.date + _CLOCKS_DIFFER
        and (today is None or binary.linked <= today + _CLOCKS_DIFFER)
    ]
    if newer:
        last = max(newer, key=lambda binary: (binary.linked, binary.path))
        yield Finding(
            rule="package.driverver-older",
            level="warning",
            message=f"DriverVer has the date {stamp.date}, and {last.path} says that it was linked on {last.linked}. "
            "DriverVer should have the newest date of any file in the package.",
            remedy="Give DriverVer that date.",
            file=inf.source,
            line=stamp.line,
            inferred=True,
        )


def _catalog_name_twice(inf: Inf) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for decoration, name in inf.version.catalog_files.items():
        known = first.setdefault(name.lower(), decoration)
        if name and known != decoration:
            entry = inf.first("Version", f"CatalogFile{decoration}")
            yield Finding(
                rule="package.catalog-name-twice",
                level="warning",
                message=f"CatalogFile{decoration} and CatalogFile{known} both name {name}; a catalog for a platform of "
                "its own must have a name of its own.",
                remedy="Keep one CatalogFile for all platforms, or give each its own name.",
                file=inf.source,
                line=entry.line if entry is not None else None,
            )


def _signature_attributes(inf: Inf, kind: Kind) -> Iterator[Finding]:
    """[SignatureAttributes] asks for signatures that only some programs give, and this service to nobody."""
    for entry in inf.entries("SignatureAttributes"):
        section = inf.substitute(entry.value(0))
        asked = {(each.key or "").lower() for each in inf.entries(section) if _is_asked_for(inf, each)}
        asked.add(section.lower().rpartition(".")[2])
        kinds = {what: attribute for attribute, what in _SIGNATURE_ATTRIBUTES.items() if attribute in asked}
        for what, attribute in kinds.items():
            message = f"[SignatureAttributes] asks for the signature of {what} for {inf.substitute(entry.name)}."
            if attribute in _NEED_THE_HLK and kind != "whql":
                yield _needs_hlk(message, kind, inf.source, entry.line)
            else:
                yield Finding(
                    rule="package.signature-attributes",
                    level="warning",
                    message=f"{message} Microsoft gives it by the results of the HLK, which cannot be judged here: the "
                    "catalog will not have it.",
                    remedy="Where Windows asks for it, have the package signed by Microsoft.",
                    file=inf.source,
                    line=entry.line,
                )


def _is_asked_for(inf: Inf, entry: Entry) -> bool:
    """``PETrust = true``; only DRMLevel has a number."""
    value = inf.substitute(entry.value(0)).lower()
    return value == "true" or ((entry.key or "").lower() == "drmlevel" and value != "")


def _needs_hlk(message: str, kind: Kind, file: str, line: int | None = None) -> Finding:
    attestation = kind == "attestation"
    return Finding(
        rule="package.needs-hlk",
        level="error" if attestation else "warning",
        message=f"{message} Attestation does not give it"
        + ("." if attestation else ", and preproduction packages are built as those for attestation."),
        remedy="Test the driver with the HLK and submit its .hlkx package.",
        file=file,
        line=line,
        inferred=not attestation,
    )


def _binary_kinds(folder: DriverFolder, kind: Kind) -> Iterator[Finding]:
    if kind == "whql":
        return
    for binary in folder.binaries:
        if binary.is_elam:
            message = "The file has the resource of an early launch antimalware driver, which needs its own signature."
            yield _needs_hlk(message, kind, binary.path)
        if binary.has_code and binary.suffix not in ATTESTED_BINARIES:
            yield Finding(
                rule="package.binary-kind",
                level="warning",
                message=f"The file is a program named {binary.suffix}. Attestation signing is documented for "
                f"{', '.join(ATTESTED_BINARIES)}, .cab, .msi, .xpi and .xap.",
                remedy="Make sure that the file belongs into the package; submit an HLK package if it is refused.",
                file=binary.path,
                inferred=True,
            )


def _audio_versions(folder: DriverFolder) -> Iterator[Finding]:
    classes = {str(guid) for inf in folder.infs if (guid := parse_guid(inf.version.class_guid)) is not None}
    if classes.isdisjoint(_AUDIO_CLASSES):
        return
    for binary in folder.binaries:
        if binary.suffix in _AUDIO_EXECUTABLES and not any(binary.version or ()):
            why = "has no version resource" if binary.version is None else "has the version 0.0.0.0"
            yield Finding(
                rule="package.audio-version",
                level="warning",
                message=f"The file {why}; audio drivers are rejected for that when they are published.",
                remedy="Give it a VERSIONINFO resource with a version other than 0.0.0.0.",
                file=binary.path,
            )


def _unreferenced_files(folder: DriverFolder) -> Iterator[Finding]:
    """A file counts as named when its name occurs anywhere in an INF of the folder: a miss is better than a false
    alarm.
    """
    if not folder.infs:
        return
    names = {components(path)[-1].lower(): path for path in folder.files}
    wanted = {name: path for name, path in names.items() if not name.endswith(_FOR_THE_SERVICE)}
    for text in _texts(folder.infs):
        if not wanted:
            return
        for part in (text, text.replace("/", "\\").rpartition("\\")[2]):
            # The compressed spelling of a name, x.sy_ for x.sys, serves as well.
            for name in (part.lower(), part.lower()[:-1] + "_"):
                wanted.pop(name, None)
    if wanted:
        yield Finding(
            rule="package.unreferenced-file",
            level="warning",
            message=f"No INF of the driver folder {folder.name} names {listing(sorted(wanted.values()))}. "
            "Microsoft's service shows a message for such files.",
            remedy="Leave them out, or let the INF copy them.",
            file=folder.name,
        )


def _texts(infs: Sequence[Inf]) -> Iterator[str]:
    for inf in infs:
        for section in inf.sections:
            for entry in section.entries:
                if entry.key is not None:
                    yield inf.substitute(entry.key)
                for value in inf.values(entry):
                    yield value.strip().removeprefix("@")
                    if " " in value:  # a command line, a list of names
                        yield from value.replace('"', " ").split()
