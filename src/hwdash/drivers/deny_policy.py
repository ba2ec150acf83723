"""App Control policies that deny files and allow everything else, as XML (Microsoft Learn, "Understand App Control for
Business policy rules and file rules" and "Create App Control policies to deny").

A file is denied by its Authenticode digests, or by its original file name up to a version. Deny rules win over any
allow rule, also one of another policy; the two allow-all rules are there because what no rule allows would be denied.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from lxml import etree

NAMESPACE: Final = "urn:schemas-microsoft-com:sipolicy"
_NAMES: Final[Any] = {None: NAMESPACE}  # lxml-stubs know no default namespace
# The platform of every policy that the tools of Windows make.
_PLATFORM: Final = "{2E07F7E4-194C-4D20-B7C9-6F44A6C5A234}"
_OPTIONS: Final = (
    "Enabled:Unsigned System Integrity Policy",
    "Enabled:Advanced Boot Options Menu",
    "Enabled:Inherit Default Policy",
    "Enabled:Update Policy No Reboot",
)
# User mode is covered where it has to be, and its scripts are left alone.
_USER_MODE: Final = ("Enabled:UMCI", "Disabled:Script Enforcement")


@dataclass(frozen=True, slots=True)
class DeniedFile:
    """A PE file by its Authenticode digests, in hex. ``name`` is for people."""

    name: str
    digests: Sequence[str]


@dataclass(frozen=True, slots=True)
class DeniedVersions:
    """Every file of this original name (in its version resource), up to this file version, ``a.b.c.d``."""

    name: str
    up_to: str


def deny_policy(denied: Iterable[DeniedFile | DeniedVersions], *, policy_id: UUID, version: int, name: str) -> bytes:
    """The policy. ``version`` counts up with each change: machines take no older one."""
    files = list(denied)
    is_user_mode = any(not each.name.lower().endswith(".sys") for each in files)
    root = etree.Element(f"{{{NAMESPACE}}}SiPolicy", nsmap=_NAMES, PolicyType="Base Policy")
    _text(root, "VersionEx", f"10.0.{version >> 16 & 0xFFFF}.{version & 0xFFFF}")
    _text(root, "PlatformID", _PLATFORM)
    rules = _below(root, "Rules")
    for option in (*_OPTIONS, *(_USER_MODE if is_user_mode else ())):
        _text(_below(rules, "Rule"), "Option", option)
    _below(root, "EKUs")
    file_rules = _below(root, "FileRules")
    for number in (1, 2):
        _below(file_rules, "Allow", ID=f"ID_ALLOW_ALL_{number}", FriendlyName="Everything else", FileName="*")
    ids = [_deny(file_rules, number, rule) for number, rule in enumerate(_deny_rules(files), 1)]
    _below(root, "Signers")
    scenarios = _below(root, "SigningScenarios")
    for value, what, number in (("131", "DRIVERS", 1), ("12", "WINDOWS", 2)):
        scenario = _below(
            scenarios, "SigningScenario", Value=value, ID=f"ID_SIGNINGSCENARIO_{what}", FriendlyName=what.capitalize()
        )
        references = _below(_below(scenario, "ProductSigners"), "FileRulesRef")
        for each in (f"ID_ALLOW_ALL_{number}", *ids):
            _below(references, "FileRuleRef", RuleID=each)
    _below(root, "UpdatePolicySigners")
    _below(root, "CiSigners")
    _text(root, "HvciOptions", "0")
    settings = _below(root, "Settings")
    for key, text in (("Name", name), ("Id", f"{version}")):
        setting = _below(settings, "Setting", Provider="PolicyInfo", Key="Information", ValueName=key)
        _text(_below(setting, "Value"), "String", text)
    for tag in ("BasePolicyID", "PolicyID"):
        _text(root, tag, f"{{{str(policy_id).upper()}}}")
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _deny_rules(files: Iterable[DeniedFile | DeniedVersions]) -> list[dict[str, str]]:
    """The attributes of each rule but its id; none twice."""
    rules: dict[tuple[str, str], dict[str, str]] = {}
    for file in files:
        if isinstance(file, DeniedVersions):
            rule = {
                "FriendlyName": f"{file.name} up to {file.up_to}",
                "FileName": file.name,
                "MinimumFileVersion": "0.0.0.0",  # nosec B104 # noqa: S104 - a version, not an address
                "MaximumFileVersion": file.up_to,
            }
            rules.setdefault((file.name.casefold(), file.up_to), rule)
            continue
        for digest in file.digests:
            kind = "Sha1" if len(digest) == 40 else "Sha256"
            rule = {"FriendlyName": f"{file.name} Hash {kind}", "Hash": digest.upper()}
            rules.setdefault((digest.upper(), ""), rule)
    return list(rules.values())


def _deny(file_rules: etree._Element, number: int, rule: dict[str, str]) -> str:
    name = f"ID_DENY_D_{number}"
    _below(file_rules, "Deny", ID=name, **{key: _printable(value) for key, value in rule.items()})
    return name


def _printable(text: str) -> str:
    """What XML can hold: a package's file names are a stranger's."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _below(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{tag}", attrib=attributes)


def _text(parent: etree._Element, tag: str, text: str) -> None:
    _below(parent, tag).text = _printable(text)
