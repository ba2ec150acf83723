"""The layout rules of a driver package, by the names of its files, and what its INFs name.

Sources: dashboard/code-signing-attestation.md, code-signing-reqs.md, hardware-submission-create.md,
hardware-submission-wlk.md, manage-preprod-submissions.md; facts/inf/package_rules.yaml says which rules are documented
and which are only reported. What INFs and binaries have to say of each other is in drivers/package_contents.py.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.files import copied_files, copyfiles_directives, source_file, source_files
from hwdash.drivers.inf.models import architectures
from hwdash.vocabulary import Architecture

Kind = Literal["attestation", "whql", "preproduction"]
"""What a package is submitted for: a cabinet for attestation or preproduction signing, an .hlkx or .hckx for WHQL."""

MAX_FOLDER_NAME = 39
"""Documented as "fewer than 40 characters"."""

MAX_PATH = 159
"""Documented as "under 160 characters" for packages of the Windows Logo Kit."""

_LISTED = 20  # names in one message
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
_FORBIDDEN = frozenset('<>"|?*')
_FOLDER_NAME = re.compile(r"[A-Za-z0-9._ -]+\Z")
_BINARIES = (".sys", ".dll", ".exe")


def unsafe_path_reason(name: str) -> str | None:
    """Why a stored name must not become a path below a folder, on Windows or elsewhere; None when it may.

    ``name`` has slashes or backslashes between its components.
    """
    if not name:
        return "it is empty"
    if not name.isprintable():
        return "it has a character that cannot be printed"
    if name[0] in "\\/":
        return "it is an absolute or network path"
    if ":" in name:
        return "it has a colon: a drive letter or an alternate data stream"
    return next((reason for part in components(name) if (reason := _unsafe_component(part))), None)


def _unsafe_component(part: str) -> str | None:
    reasons = (
        (part == "", "it has an empty component"),
        (part in (".", ".."), f"it has the component {part!r}"),
        (part[-1:] in (".", " "), f"the component {part!r} ends with a dot or a blank, which Windows drops"),
        (len(part) > 255, "a component has more than 255 characters"),
        (not _FORBIDDEN.isdisjoint(part), f"the component {part!r} has a character that Windows forbids in names"),
        (_RESERVED.match(part) is not None, f"the component {part!r} is the name of a DOS device"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def driver_folders(names: Sequence[str]) -> dict[str, list[str]]:
    """The names of a package by driver folder, its first component; files at the root are left out.

    Folders that differ in case alone are one folder, in the spelling that comes first.
    """
    spelling: dict[str, str] = {}
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, *rest = components(name)
        if rest:
            folders.setdefault(spelling.setdefault(folder.lower(), folder), []).append(name)
    return folders


def check_layout(names: Sequence[str], kind: Kind = "attestation") -> list[Finding]:
    """Everything that is wrong with the names of a package's files.

    Preproduction packages are built as those for attestation. How drivers lie in a package of the HLK is not
    documented, so there the folders are not judged.
    """
    if not names:
        message = "The package holds no files."
        return [_error("empty", message, "Put each driver, with its INF, in a folder of the cabinet.")]
    everywhere = [*_unsafe_names(names), *_duplicate_names(names)]
    if kind == "whql":
        return [*everywhere, *_long_paths(names)]
    folders = driver_folders(names).items()
    in_folders = (finding for folder, inside in folders for finding in _check_folder(folder, inside))
    return [*everywhere, *_files_at_root(names), *in_folders]


def _unsafe_names(names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        reason = unsafe_path_reason(name)
        if reason is not None:
            message = f"The name {name!r} cannot be used: {reason}."
            yield _error("unsafe-name", message, "Store files under plain relative names.", name)


def clashing_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that Windows cannot hold side by side: equal but for case, or one the folder of the other."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for name in names:
        key = "/".join(components(name)).casefold()
        if (first := files.get(key) or folders.get(key)) is not None:
            pairs.append((first, name))
        files.setdefault(key, name)
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in files:
                pairs.append((files[key], name))
            if key in folders:
                break
            folders[key] = name
    return pairs


def _duplicate_names(names: Sequence[str]) -> Iterator[Finding]:
    for first, name in clashing_names(names):
        message = f"Windows cannot hold two of the names side by side, since it ignores case: {first} and {name}."
        yield _error("duplicate-name", message, "Keep one of them, or rename it.", name)


def _files_at_root(names: Sequence[str]) -> Iterator[Finding]:
    at_root = [name for name in names if len(components(name)) == 1]
    if at_root:
        message = f"There are files at the root of the cabinet: {listing(at_root)}."
        remedy = "Put each driver package in a folder of its own (in a DDF file: .Set DestinationDir=NAME)."
        yield _error("files-at-root", message, remedy, at_root[0])


def _long_paths(names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        if len(name) > MAX_PATH:
            message = (
                f"The path has {len(name)} characters. Packages of the Windows Logo Kit fail beyond {MAX_PATH}; for "
                "those of its successors no limit is documented."
            )
            yield _warning("path-length", message, "Shorten the names.", name, inferred=True)


def _check_folder(folder: str, names: Sequence[str]) -> Iterator[Finding]:
    files = [components(name)[1:] for name in names]
    at_top = [parts[0].lower() for parts in files if len(parts) == 1]
    if not any(name.endswith(".inf") for name in at_top):
        message = f"There is no .inf file in the driver folder {folder}."
        if any(parts[-1].lower().endswith(".inf") for parts in files):
            message += " One in a folder below it does not count."
        yield _error("no-inf", message, "Put the driver's INF in that folder, or leave the folder out.", folder)
    if len(folder) > MAX_FOLDER_NAME:
        message = f"The folder name {folder} has {len(folder)} characters; {MAX_FOLDER_NAME} are allowed."
        yield _error("folder-name-length", message, "Choose a shorter name.", folder)
    if not _FOLDER_NAME.match(folder):
        message = f"The folder name {folder!r} has special characters."
        remedy = "Use letters without accents, digits, '.', '_', '-' and blanks only; other characters are refused."
        # That special characters are refused is documented, which they are is not.
        yield _error("folder-name-characters", message, remedy, folder, inferred=True)
    nested = sorted({"/".join((folder, *parts[:-1])) for parts in files if len(parts) > 1})
    if nested:
        message = (
            f"There are folders inside the driver folder {folder}: {listing(nested)}. Microsoft's documentation "
            "does not forbid that, but its service was reported to refuse such packages."
        )
        remedy = "Put all files of a driver directly in its folder."
        yield _warning("nested-folder", message, remedy, folder, inferred=True)
    yield from _nested_infs(folder, files)
    suffixes = {"." + parts[-1].lower().rpartition(".")[2] for parts in files}
    if ".pdb" not in suffixes and not suffixes.isdisjoint(_BINARIES):
        message = f"The driver folder {folder} has binaries and no symbols (.pdb)."
        yield _warning("no-symbols", message, "Add them: they are wanted for the analysis of crashes.", folder)
    if ".cat" not in suffixes:
        message = f"The driver folder {folder} has no catalog (.cat)."
        remedy = "Add one made by Inf2Cat. It is looked at for company verification only; signing makes a new one."
        yield _warning("no-catalog", message, remedy, folder)


def _nested_infs(folder: str, files: Sequence[Sequence[str]]) -> Iterator[Finding]:
    infs = [parts for parts in files if parts[-1].lower().endswith(".inf")]
    below = ["/".join((folder, *parts)) for parts in infs if len(parts) > 1]
    if below and len(below) < len(infs):
        message = (
            f"INFs lie below the top of the driver folder {folder}: {listing(below)}. Inf2Cat was reported to pass"
        )
        remedy = "Give each driver package a folder of its own, with its INF at the top."
        yield _warning("inf-not-at-top", f"{message} over them.", remedy, folder, inferred=True)
    first: dict[str, str] = {}
    for parts in infs:
        path = "/".join((folder, *parts))
        known = first.setdefault(parts[-1].lower(), path)
        if known != path and len(parts) > 1:
            message = f"{known} has the same name, and the driver metadata of a folder has room for one INF of a name."
            remedy = "Rename one, or give it a driver folder of its own."
            yield _warning("inf-name-twice", message, remedy, path, inferred=True)


def check_architectures(folders: Mapping[str, Sequence[Inf]]) -> list[Finding]:
    """Whether all driver folders support the same architectures, judged by their INFs, as attestation signing asks."""
    by_folder = {folder: set[Architecture]().union(*map(architectures, infs)) for folder, infs in folders.items()}
    together = set[Architecture]().union(*by_folder.values())
    return [
        _error(
            "architectures-differ",
            f"The driver folder {folder} has no driver for {', '.join(sorted(together - found))}; another folder has.",
            "Make every folder support the same architectures, or submit them as packages of their own.",
            folder,
        )
        for folder, found in by_folder.items()
        if found and found != together
    ]


def check_inf_references(
    inf: Inf, folder_files: Collection[str], wanted: Collection[Architecture] | None = None
) -> list[Finding]:
    """Files that an INF names and its folder lacks (what Inf2Cat reports as 22.9.1), with the line that names them.

    ``folder_files`` are names relative to the INF's folder, with slashes or backslashes; ``wanted`` limits the check
    to those architectures, all that the INF supports by default. A file that is copied and missing is an error, one
    that is only listed in [SourceDisksFiles] a warning.
    """
    present = {"/".join(components(name)).lower() for name in folder_files}
    copied = list(copied_files(inf, copyfiles_directives(inf)))
    copied_names = {file.source.lower() for file in copied}
    supported: Collection[Architecture | None] = architectures(inf) or {None}
    missing: dict[str, Finding] = {}
    for architecture in supported:
        if wanted is not None and architecture is not None and architecture not in wanted:
            continue
        for listed in source_files(inf, architecture):
            place = listed.cabinet or listed.path
            if not _is_present(place, present) and place.lower() not in missing:
                make = _error if listed.name.lower() in copied_names else _warning
                message = f"[SourceDisksFiles] lists {listed.name}; there is no {place} in the driver folder."
                missing[place.lower()] = make("file-missing", message, _ADD_FILE, inf.source, listed.line)
        for file in copied:
            # A file without a line in [SourceDisksFiles] lies beside the INF, if anywhere.
            unlisted = source_file(inf, file.source, architecture) is None
            if unlisted and not _is_present(file.source, present) and file.source.lower() not in missing:
                message = f"CopyFiles names {file.source}, which is neither in [SourceDisksFiles] nor in the folder."
                missing[file.source.lower()] = _error("file-missing", message, _ADD_FILE, inf.source, file.line)
    for name, line in _copied_infs(inf):
        if not _is_present(name, present):
            message = f"CopyINF names {name}, which is not in the driver folder."
            missing[name.lower()] = _error("file-missing", message, _ADD_FILE, inf.source, line)
    return sorted(missing.values(), key=lambda finding: finding.line or 0)


_ADD_FILE = "Add the file, or correct the name, folder and disk in the INF."


def _copied_infs(inf: Inf) -> Iterator[tuple[str, int]]:
    for section in inf.sections:
        for entry in section.entries:
            if entry.key is not None and entry.key.lower() == "copyinf":
                yield from ((name, entry.line) for name in inf.values(entry) if name)


def _is_present(path: str, present: Collection[str]) -> bool:
    path = "/".join(components(path)).lower()
    # The compressed spelling of a name, x.sy_ for x.sys, serves as well.
    return path in present or path[:-1] + "_" in present


def components(name: str) -> list[str]:
    """The components of a name as stored, whose separators are slashes or backslashes."""
    return name.replace("\\", "/").split("/")


def listing(names: Sequence[str]) -> str:
    """Names for a message, up to a limit: a package can hold thousands."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _error(
    rule: str, message: str, remedy: str, file: str | None = None, line: int | None = None, *, inferred: bool = False
) -> Finding:
    return Finding(f"package.{rule}", "error", message, remedy, file, line, inferred)


def _warning(
    rule: str, message: str, remedy: str, file: str | None = None, line: int | None = None, *, inferred: bool = False
) -> Finding:
    return Finding(f"package.{rule}", "warning", message, remedy, file, line, inferred)
