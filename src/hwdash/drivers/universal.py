"""May the binaries of a package run on every edition of Windows? What can be said without Microsoft's list.

The verdict compares each import with the list of permitted APIs in UniversalDDIs.xml, which ships with Microsoft's
driver kit only (develop/validating-windows-drivers.md, facts/inf/infverif_modes.yaml). So it is ``unknown`` here, with
the imports to judge by; ``no`` where a page of Microsoft's names the import as one that fails; ``notApplicable`` for a
package without binaries (contract/dashboard.md 56). It is never ``yes``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from hwdash.drivers.pe_imports import ImportedModule

SOURCE: Final = "develop/building-for-onecore.md"
# What that page says ApiValidator reports, unless the call stands behind IsApiSetImplemented. Other names on
# Microsoft's pages were reported by the kits of 2015 and pass later ones: they prove nothing.
_NEEDS_GUARD: Final = {
    ("wtsapi32.dll", "WTSEnumerateSessionsW"),
    ("wtsapi32.dll", "WTSFreeMemory"),
    ("advapi32.dll", "InstallApplication"),
}
_GUARD: Final = "IsApiSetImplemented"


@dataclass(frozen=True, slots=True)
class BinaryImports:
    """What one binary imports; ``machine`` in the spelling of INF decorations, or a number."""

    path: str
    machine: str
    modules: tuple[ImportedModule, ...]

    def documented_failures(self) -> list[str]:
        """Imports that Microsoft documents as never universal without a guard, which this binary does not import."""
        if any(_GUARD in module.functions for module in self.modules):
            return []
        return [
            f"{module.name}!{function}"
            for module in self.modules
            for function in module.functions
            if (module.name.lower(), function) in _NEEDS_GUARD
        ]

    def to_json(self) -> dict[str, Any]:
        """{"path", "machine", "modules": [{"name", "kind", "functions" (a count), "delayed"}]}."""
        return {
            "path": self.path,
            "machine": self.machine,
            "modules": [
                {"name": each.name, "kind": each.kind, "functions": len(each.functions), "delayed": each.delayed}
                for each in self.modules
            ],
        }


def universal_report(binaries: Iterable[BinaryImports], unreadable: Iterable[str] = ()) -> dict[str, Any]:
    """{"verdict": "no" | "unknown" | "notApplicable", "reason", "binaries"}; ``unreadable`` are paths of binaries whose
    imports cannot be read.
    """
    judged, broken = list(binaries), list(unreadable)
    failures = [(each.path, failure) for each in judged for failure in each.documented_failures()]
    if failures:
        path, failure = failures[0]
        more = f", and {len(failures) - 1} more imports of the kind" if len(failures) > 1 else ""
        verdict = "no"
        reason = f"{path} imports {failure} without {_GUARD}{more}; Microsoft's {SOURCE} says that this fails."
    elif judged or broken:
        verdict = "unknown"
        reason = "The list of permitted APIs (UniversalDDIs.xml) ships with Microsoft's kit only; run its ApiValidator."
    else:
        verdict, reason = "notApplicable", "The package has no binaries to judge."
    return {"verdict": verdict, "reason": reason, "binaries": [each.to_json() for each in judged]}
