"""The universal verdict says no more than documents do."""

from hwdash.drivers.pe_imports import ImportedModule
from hwdash.drivers.universal import BinaryImports, universal_report

KERNEL = ImportedModule("ntoskrnl.exe", ("IoCreateDevice", "KeBugCheckEx", 7), False)
SESSIONS = ImportedModule("WTSAPI32.dll", ("WTSEnumerateSessionsW", "WTSFreeMemory"), False)
GUARD = ImportedModule("api-ms-win-core-apiquery-l2-1-0.dll", ("IsApiSetImplemented",), True)


def test_a_package_without_binaries_has_nothing_to_judge() -> None:
    report = universal_report([])
    assert (report["verdict"], report["binaries"]) == ("notApplicable", [])


def test_without_the_list_of_permitted_apis_the_verdict_is_unknown_with_what_is_imported() -> None:
    report = universal_report([BinaryImports("d/a.sys", "amd64", (KERNEL, GUARD))])
    assert report["verdict"] == "unknown"
    assert "UniversalDDIs.xml" in report["reason"]
    assert report["binaries"] == [
        {
            "path": "d/a.sys",
            "machine": "amd64",
            "modules": [
                {"name": "ntoskrnl.exe", "kind": "kernel", "functions": 3, "delayed": False},
                {"name": "api-ms-win-core-apiquery-l2-1-0.dll", "kind": "apiSet", "functions": 1, "delayed": True},
            ],
        }
    ]


def test_binaries_whose_imports_cannot_be_read_are_binaries() -> None:
    assert universal_report([], ["d/a.sys"])["verdict"] == "unknown"


def test_an_import_that_microsoft_documents_as_failing_is_a_no_with_its_source() -> None:
    report = universal_report(
        [BinaryImports("d/a.sys", "amd64", (KERNEL,)), BinaryImports("d/b.exe", "x86", (SESSIONS,))]
    )
    assert report["verdict"] == "no"
    assert "d/b.exe imports WTSAPI32.dll!WTSEnumerateSessionsW" in report["reason"]
    assert "building-for-onecore.md" in report["reason"]


def test_a_guard_makes_such_an_import_unknown_again() -> None:
    assert universal_report([BinaryImports("d/b.exe", "x86", (SESSIONS, GUARD))])["verdict"] == "unknown"


def test_the_same_function_of_another_module_proves_nothing() -> None:
    other = ImportedModule("mine.dll", ("WTSEnumerateSessionsW", 1), False)
    assert universal_report([BinaryImports("d/b.exe", "x86", (other,))])["verdict"] == "unknown"
