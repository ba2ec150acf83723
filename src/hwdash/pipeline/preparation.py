"""preparation: unpack the package into the workspace, once, and read what is in it."""

from hwdash.drivers.findings import Finding
from hwdash.pipeline.work import Done, Work, refuse_errors


def run(work: Work) -> Done:
    """Result: {"folder", "bundles": [{"id", "folder", "files": [...], "infs": [...]}], "metadata", "findings"}.

    A file is {"path", "stored" (its name in the workspace folder), "size", "sha1", "sha256" (hex; of a PE file the
    Authenticode digests), "layout" (of a PE file, see drivers/pe.py; else null)}.
    """
    folder = work.fresh_folder("files")
    prepared = work.in_child(
        "inspection:prepare",
        {
            "folder": str(folder),
            "submission": work.submission_id,
            "signatures": work.attributes["requestedSignatures"],
        },
        writable=[folder],
    )
    findings = [Finding.from_json(each) for each in prepared["findings"]]
    refuse_errors(findings)
    return Done(
        {
            "folder": folder.name,
            "bundles": prepared["bundles"],
            "metadata": prepared["metadata"],
            "findings": prepared["findings"],
        },
        changes={"is_extension_inf": prepared["isExtension"]},
    )
