"""Deny policies: of the documented structure, by a schema that stands here and knows nothing of the writer."""

import secrets
import uuid

import pytest
from lxml import etree

from hwdash.drivers.deny_policy import DeniedFile, DeniedVersions, deny_policy

NS = {"p": "urn:schemas-microsoft-com:sipolicy"}
POLICY_ID = uuid.uuid4()

# The part of Windows' policy schema that such policies use, written from the documentation of its elements.
SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:schemas-microsoft-com:sipolicy"
  targetNamespace="urn:schemas-microsoft-com:sipolicy" elementFormDefault="qualified">
 <xs:simpleType name="Guid"><xs:restriction base="xs:string">
  <xs:pattern value="\\{[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}\\}"/>
  </xs:restriction></xs:simpleType>
 <xs:simpleType name="Version"><xs:restriction base="xs:string">
  <xs:pattern value="[0-9]{1,5}(\\.[0-9]{1,5}){3}"/></xs:restriction></xs:simpleType>
 <xs:simpleType name="Rule"><xs:restriction base="xs:string">
  <xs:pattern value="ID_(ALLOW|DENY)_[A-Z][_A-Z0-9]*"/></xs:restriction></xs:simpleType>
 <xs:simpleType name="Scenario"><xs:restriction base="xs:string">
  <xs:pattern value="ID_SIGNINGSCENARIO_[A-Z][_A-Z0-9]*"/></xs:restriction></xs:simpleType>
 <xs:simpleType name="Hash"><xs:restriction base="xs:hexBinary"><xs:minLength value="20"/><xs:maxLength value="32"/>
  </xs:restriction></xs:simpleType>
 <xs:simpleType name="Option"><xs:restriction base="xs:string">
  <xs:enumeration value="Enabled:UMCI"/><xs:enumeration value="Enabled:Inherit Default Policy"/>
  <xs:enumeration value="Enabled:Unsigned System Integrity Policy"/>
  <xs:enumeration value="Enabled:Advanced Boot Options Menu"/>
  <xs:enumeration value="Enabled:Update Policy No Reboot"/><xs:enumeration value="Disabled:Script Enforcement"/>
  </xs:restriction></xs:simpleType>
 <xs:complexType name="FileRule">
  <xs:attribute name="ID" type="Rule" use="required"/><xs:attribute name="FriendlyName" type="xs:string"/>
  <xs:attribute name="FileName" type="xs:string"/><xs:attribute name="Hash" type="Hash"/>
  <xs:attribute name="MinimumFileVersion" type="Version"/><xs:attribute name="MaximumFileVersion" type="Version"/>
 </xs:complexType>
 <xs:complexType name="Empty"/>
 <xs:element name="SiPolicy"><xs:complexType><xs:all>
  <xs:element name="VersionEx" type="Version"/><xs:element name="PlatformID" type="Guid"/>
  <xs:element name="PolicyID" type="Guid"/><xs:element name="BasePolicyID" type="Guid"/>
  <xs:element name="Rules"><xs:complexType><xs:sequence>
   <xs:element name="Rule" maxOccurs="unbounded"><xs:complexType><xs:sequence>
    <xs:element name="Option" type="Option"/></xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="EKUs" type="Empty"/><xs:element name="Signers" type="Empty"/>
  <xs:element name="FileRules"><xs:complexType><xs:choice maxOccurs="unbounded">
   <xs:element name="Allow" type="FileRule"/><xs:element name="Deny" type="FileRule"/>
  </xs:choice></xs:complexType></xs:element>
  <xs:element name="SigningScenarios"><xs:complexType><xs:sequence>
   <xs:element name="SigningScenario" maxOccurs="unbounded"><xs:complexType><xs:sequence>
     <xs:element name="ProductSigners"><xs:complexType><xs:sequence><xs:element name="FileRulesRef"><xs:complexType>
      <xs:sequence><xs:element name="FileRuleRef" maxOccurs="unbounded"><xs:complexType>
       <xs:attribute name="RuleID" type="Rule" use="required"/></xs:complexType></xs:element></xs:sequence>
     </xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element></xs:sequence>
    <xs:attribute name="Value" type="xs:unsignedByte" use="required"/>
    <xs:attribute name="ID" type="Scenario" use="required"/><xs:attribute name="FriendlyName" type="xs:string"/>
   </xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element>
  <xs:element name="UpdatePolicySigners" type="Empty"/><xs:element name="CiSigners" type="Empty"/>
  <xs:element name="HvciOptions" type="xs:unsignedInt"/>
  <xs:element name="Settings"><xs:complexType><xs:sequence><xs:element name="Setting" maxOccurs="unbounded">
   <xs:complexType><xs:sequence><xs:element name="Value"><xs:complexType><xs:sequence>
     <xs:element name="String" type="xs:string"/></xs:sequence></xs:complexType></xs:element></xs:sequence>
    <xs:attribute name="Provider" type="xs:string" use="required"/>
    <xs:attribute name="Key" type="xs:string" use="required"/>
    <xs:attribute name="ValueName" type="xs:string" use="required"/></xs:complexType>
   </xs:element></xs:sequence></xs:complexType></xs:element>
 </xs:all><xs:attribute name="PolicyType" type="xs:string" use="required"/></xs:complexType>
 <xs:unique name="ids"><xs:selector xpath="*/*"/><xs:field xpath="@ID"/></xs:unique>
 </xs:element>
</xs:schema>
"""


def validated(raw: bytes) -> etree._Element:
    """The policy's root, when its structure and its references hold."""
    root = etree.fromstring(raw)
    schema = etree.XMLSchema(etree.fromstring(SCHEMA))
    assert schema.validate(root), schema.error_log
    rules = set(root.xpath("p:FileRules/*/@ID", namespaces=NS))
    for scenario in root.xpath("//p:SigningScenario", namespaces=NS):
        named = scenario.xpath(".//@RuleID")
        assert set(named) <= rules
        assert len(set(named)) == len(named)
    return root


def made(*denied: DeniedFile | DeniedVersions, version: int = 1) -> etree._Element:
    return validated(deny_policy(denied, policy_id=POLICY_ID, version=version, name="Recalled"))


def test_a_file_is_denied_by_each_digest_in_kernel_and_user_mode() -> None:
    sha1, sha256 = secrets.token_hex(20), secrets.token_hex(32)
    root = made(DeniedFile("widget.sys", [sha1, sha256]))
    denied = root.xpath("p:FileRules/p:Deny", namespaces=NS)
    assert [each.get("Hash") for each in denied] == [sha1.upper(), sha256.upper()]
    for value in ("131", "12"):
        named = root.xpath(f"//p:SigningScenario[@Value={value}]//@RuleID", namespaces=NS)
        assert set(named) > {each.get("ID") for each in denied}


def test_a_name_is_denied_up_to_a_version() -> None:
    (rule,) = made(DeniedVersions("widget.sys", "1.2.3.4")).xpath("p:FileRules/p:Deny", namespaces=NS)
    assert rule.get("FileName") == "widget.sys"
    assert (rule.get("MinimumFileVersion"), rule.get("MaximumFileVersion")) == ("0.0.0.0", "1.2.3.4")


def test_everything_else_is_allowed_in_both_modes() -> None:
    root = made()
    allowed = {each.get("ID") for each in root.xpath("p:FileRules/p:Allow[@FileName='*']", namespaces=NS)}
    for scenario in root.xpath("//p:SigningScenario", namespaces=NS):
        assert allowed & set(scenario.xpath(".//@RuleID"))


@pytest.mark.parametrize(("name", "covers"), [("widget.sys", False), ("widget.dll", True)])
def test_user_mode_is_covered_where_a_file_may_run_there(name: str, covers: bool) -> None:
    options = made(DeniedFile(name, ["0" * 64])).xpath("//p:Option/text()", namespaces=NS)
    assert ("Enabled:UMCI" in options) == covers


def test_the_id_stays_and_the_version_counts_up() -> None:
    first, later = made(version=1), made(version=70_000)
    texts = [
        [each.findtext(f"p:{tag}", namespaces=NS) for tag in ("PolicyID", "BasePolicyID")] for each in (first, later)
    ]
    assert texts == [[f"{{{str(POLICY_ID).upper()}}}"] * 2] * 2
    assert [each.findtext("p:VersionEx", namespaces=NS) for each in (first, later)] == ["10.0.0.1", "10.0.1.4464"]


def test_no_rule_stands_twice() -> None:
    files = [
        DeniedFile("a.sys", ["0" * 64]),
        DeniedFile("b.sys", ["0" * 64]),
        *[DeniedVersions("a.sys", "1.0.0.0")] * 2,
    ]
    assert len(made(*files).xpath("p:FileRules/p:Deny", namespaces=NS)) == 2


def test_a_strangers_file_name_cannot_break_the_policy() -> None:
    name = 'a"><Allow/>\x00\ud800&.sys'
    (rule,) = made(DeniedFile(name, ["0" * 64])).xpath("p:FileRules/p:Deny", namespaces=NS)
    assert rule.get("FriendlyName") == 'a"><Allow/>??&.sys Hash Sha256'
