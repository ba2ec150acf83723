"""Audiences: named sets of machines to which a shipping label can be restricted (contract/api.md 3.14 and 4.16)."""

from dataclasses import dataclass

from hwdash.domain.errors import Code, DomainError

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 1000


@dataclass(frozen=True, slots=True)
class Audience:
    """A named set of machines. ``id`` is a GUID; ``audience_name`` names the key that puts a machine into it."""

    id: str
    name: str
    description: str
    audience_name: str


# Every account has it, because labels of attestation products may go to no other audience. The key is the one of
# dashboard/publishing-for-test-distribution.md; the API's sample describes another (contract/api.md section 11, 51).
TEST_REGISTRY_KEY = Audience(
    id="7a1d9d6e-4b0c-4f5e-9c3a-2f5f0e6c8b51",
    name="Test_Registry_Key",
    description=r"Machines with the value TargetRing=Drivers in HKLM\Software\Microsoft\DriverFlighting\Partner.",
    audience_name="Test_Registry_Key",
)


_OF_TESTS = {"codev", "surface ssrk", TEST_REGISTRY_KEY.name.casefold()}


def is_for_tests(audience: Audience) -> bool:
    """Are its machines for tests only, so that it may get attestation-signed drivers (contract/dashboard.md 112)?"""
    return audience.name.casefold() in _OF_TESTS


def check_audience(name: str, description: str, audience_name: str, taken: set[str]) -> None:
    """May an account get an audience of this name? ``taken`` are the names that it has, in any case."""
    found = [
        (target, f"Must be 1 to {longest} printable characters.")
        for target, text, longest in (
            ("name", name, LONGEST_NAME),
            ("description", description, LONGEST_DESCRIPTION),
            ("audienceName", audience_name, LONGEST_NAME),
        )
        if not text.strip() or len(text) > longest or not text.isprintable()
    ]
    if name.casefold() in {each.casefold() for each in taken}:
        found.append(("name", f"There is an audience {name} already."))
    if found:
        raise DomainError(Code.INVALID_INPUT, "The audience is not valid.", found)
