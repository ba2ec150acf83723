"""preparation: unpack the package into the workspace, once, and read what is in it.

The child process that does it has read a stranger's bytes: its answer is checked here before later steps open files and
write archives by it.
"""

from datetime import UTC
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from hwdash.drivers.findings import Finding
from hwdash.drivers.package import unsafe_path_reason
from hwdash.drivers.pe import PeLayout
from hwdash.pipeline.work import Done, Work, refuse_errors


def _text(pattern: str) -> StringConstraints:
    return StringConstraints(pattern=rf"\A(?:{pattern})\z")


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _File(_Checked):
    path: str
    stored: Annotated[str, _text(r"[0-9]{6}")]
    size: Annotated[int, Field(ge=0)]
    sha1: Annotated[str, _text(r"[0-9a-f]{40}")]
    sha256: Annotated[str, _text(r"[0-9a-f]{64}")]
    layout: dict[str, int] | None

    @field_validator("path")
    @classmethod
    def _safe(cls, path: str) -> str:
        if (reason := unsafe_path_reason(path)) is not None or "\\" in path:
            raise ValueError(reason or "it has a backslash")
        return path

    @field_validator("layout")
    @classmethod
    def _of_a_pe_file(cls, layout: dict[str, int] | None) -> dict[str, int] | None:
        if layout is not None:
            try:
                PeLayout(**layout)
            except TypeError as error:
                raise ValueError(str(error)) from error
        return layout


class _Bundle(_Checked):
    id: Annotated[str, _text(r"[0-9a-f-]{36}")]
    folder: Annotated[str, _text(r"[^/\\]+")]
    files: list[_File]
    catalogs: list[Annotated[str, _text(r"[^/\\]+\.[cC][aA][tT]")]]
    hardwareIds: list[str]


class _Module(_Checked):
    name: str
    kind: Literal["apiSet", "kernel", "dll"]
    functions: Annotated[int, Field(ge=0)]
    delayed: bool


class _Binary(_Checked):
    path: str
    machine: str
    modules: list[_Module]


class _Universal(_Checked):
    verdict: Literal["no", "unknown", "notApplicable"]
    reason: str
    binaries: list[_Binary]


class _Prepared(_Checked):
    bundles: list[_Bundle]
    metadata: dict[str, Any]
    positions: dict[str, dict[str, dict[str, dict[str, Annotated[int, Field(ge=1)]]]]]
    isExtension: bool
    universal: _Universal
    findings: list[dict[str, Any]]


def run(work: Work) -> Done:
    """Result: {"folder", "bundles": [{"id", "folder", "files", "catalogs", "hardwareIds"}], "metadata", "positions",
    "isExtension", "universal", "findings"}; "positions" are those of drivers/inf/metadata.py, "universal" is the report
    of drivers/universal.py.

    A file is {"path", "stored" (its name in the workspace folder), "size", "sha1", "sha256" (hex; of a PE file the
    Authenticode digests), "layout" (of a PE file, see drivers/pe.py; else null)}.
    """
    folder = work.fresh_folder("files")
    answer = work.in_child(
        "inspection:prepare",
        {
            "folder": str(folder),
            "submission": work.object_id,
            "signatures": work.attributes["requestedSignatures"],
            "kind": work.kind,
            "today": work.now.astimezone(UTC).date().isoformat(),
        },
        writable=[folder],
    )
    prepared = checked(answer)
    refuse_errors([Finding.from_json(each) for each in prepared["findings"]])
    return Done(
        {"folder": folder.name, **prepared},
        changes={"is_extension_inf": prepared["isExtension"]},
    )


def checked(answer: object) -> dict[str, Any]:
    """The child's answer, when it is of the agreed form. Raises ValueError: then the child is broken, or was taken
    over.
    """
    try:
        return _Prepared.model_validate(answer).model_dump()
    except ValidationError as error:
        raise ValueError(f"the child process's answer is not of the agreed form: {error}") from error
