"""Chains: who is trusted, at what time, for what; openssl judges the plain cases as well."""

import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from authenticode_oracle import NOW
from hwdash.drivers.chain import Trust, check_chain, check_trust
from hwdash.drivers.errors import ParseError
from hwdash.drivers.timestamp import TIME_STAMPING
from pki import (
    CODE,
    LIFETIME,
    TIME,
    YEAR,
    Holder,
    authority,
    issue,
    reports,
    root,
    signed_image,
    signer,
    timestamper,
    token,
    usage,
)

ISSUES = usage(key_cert_sign=True, crl_sign=True)
SIGNS = usage(digital_signature=True)
SERVER = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")
ANY = x509.ObjectIdentifier("2.5.29.37.0")
DAY = timedelta(days=1)


def judge(who: Holder, *, roots: list[Holder] | None = None, when: datetime = NOW, **how) -> Trust:
    top = [each.certificate for each in roots] if roots is not None else [who.root]
    return check_chain(who.certificate, roots=top, others=who.path, when=when, source="x", **how)


def rules(trust: Trust, level: str = "error") -> list[str]:
    return [each.rule.removeprefix("chain.") for each in trust.findings if each.level == level]


def openssl_accepts(who: Holder, folder: Path, *options: str) -> bool:
    """Its purpose ``any``, since code signing is not among the older ones: usages are judged by us alone."""
    top, chain, _ = who.files(folder)
    command = ["openssl", "verify", "-CAfile", top, "-untrusted", chain, *options, chain]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


GOOD = {
    "p256": signer("p256"),
    "p384": signer("p384"),
    "rsa": signer("rsa2048"),
    "usages all the way": issue(
        "Leaf", issue("CA with usage", root(), ca=True, usages=[CODE, TIME]), ca=False, usages=[CODE, SERVER]
    ),
    "any usage above": issue("Leaf", issue("CA for all", root(), ca=True, usages=[ANY]), ca=False, usages=[CODE]),
    "no usage anywhere": issue("Bare", issue("Bare CA", root(), ca=True), ca=False),
    "path length just enough": issue(
        "Leaf", issue("Last", issue("First", root(), ca=True, path_length=1), ca=True), usages=[CODE]
    ),
}

BAD = {
    "expired": (issue("Old", authority(), ca=False, usages=[CODE], end=NOW - DAY), ["expired"]),
    "not yet": (issue("New", authority(), ca=False, usages=[CODE], begin=NOW + DAY), ["not-yet-valid"]),
    "expired above": (
        issue("Leaf", issue("Old CA", root(), ca=True, end=NOW - DAY), ca=False, usages=[CODE]),
        ["expired"],
    ),
    "issuer is no authority": (issue("Leaf", issue("No CA", root(), ca=False), usages=[CODE]), ["no-authority"]),
    "issuer says nothing": (issue("Leaf", issue("Mute", root()), usages=[CODE]), ["no-authority"]),
    "issuer may not sign certificates": (
        issue("Leaf", issue("Signs", root(), ca=True, key_usage=SIGNS), usages=[CODE]),
        ["key-usage"],
    ),
    "signer may not sign": (
        issue("Cipher", authority(), usages=[CODE], key_usage=usage(key_encipherment=True)),
        ["key-usage"],
    ),
    "too many authorities": (
        issue("Leaf", issue("Last", authority(), ca=True, key_usage=ISSUES), usages=[CODE]),
        ["path-length"],
    ),
    "rsa1024": (issue("Short", authority(), kind="rsa1024", usages=[CODE]), ["weak-key"]),
    "another curve": (issue("Coin", authority(), kind="k256", usages=[CODE]), ["weak-key"]),
    "for servers": (issue("Web", authority(), usages=[SERVER]), ["extended-key-usage"]),
    "any usage is not enough for a signer": (issue("All", authority(), usages=[ANY]), ["extended-key-usage"]),
    "authority for servers": (
        issue("Leaf", issue("Web CA", root(), ca=True, usages=[SERVER]), usages=[CODE]),
        ["extended-key-usage"],
    ),
    "usage above only": (
        issue("Bare", issue("Code CA", root(), ca=True, usages=[CODE]), ca=False),
        ["extended-key-usage"],
    ),
    "critical and unknown": (
        issue("Odd", authority(), usages=[CODE], more=[(x509.UnrecognizedExtension(CODE, b"\x05\x00"), True)]),
        ["critical-extension"],
    ),
    "critical name constraints": (
        issue(
            "Leaf",
            issue(
                "Bound",
                root(),
                ca=True,
                more=[(x509.NameConstraints([x509.DNSName("example")], None), True)],
            ),
            usages=[CODE],
        ),
        ["critical-extension"],
    ),
    "several at once": (
        issue("Worst", issue("No CA", root(), ca=False), kind="rsa1024", usages=[SERVER], end=NOW - DAY),
        ["expired", "extended-key-usage", "no-authority", "weak-key"],
    ),
}


@pytest.mark.parametrize("who", GOOD.values(), ids=GOOD)
def test_a_good_chain_is_trusted_without_a_finding(who: Holder, tmp_path: Path) -> None:
    found = judge(who)
    assert (found.trusted, found.findings) == (True, ())
    assert list(found.chain) == who.path
    assert found.when == NOW
    assert openssl_accepts(who, tmp_path)


@pytest.mark.parametrize(("who", "reasons"), BAD.values(), ids=BAD)
def test_every_reason_against_a_chain_is_told(who: Holder, reasons: list[str]) -> None:
    found = judge(who)
    assert not found.trusted
    assert sorted(rules(found)) == reasons
    assert all(each.file == "x" and each.message.endswith(".") and each.remedy for each in found.findings)


@pytest.mark.parametrize(
    "name",
    [
        "expired",
        "not yet",
        "expired above",
        "issuer is no authority",
        "issuer may not sign certificates",
        "too many authorities",
        "critical and unknown",
    ],
)
def test_openssl_refuses_these_too(name: str, tmp_path: Path) -> None:
    assert not openssl_accepts(BAD[name][0], tmp_path)


def test_a_certificate_signed_with_sha1_or_md5_is_refused_and_sha1_only_warned_of_in_reports(tmp_path: Path) -> None:
    top, _, _ = root().files(tmp_path)
    key, request = tmp_path / "leaf.key", tmp_path / "leaf.csr"
    new = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Weak", "-keyout", key]
    subprocess.run([*new, "-out", request], check=True, capture_output=True)
    rsa_root = issue("RSA Root", kind="rsa2048", ca=True, key_usage=ISSUES)
    top, _, root_key = rsa_root.files(tmp_path)
    (tmp_path / "ext").write_text("extendedKeyUsage=codeSigning\n")
    for digest in ("sha1", "md5"):
        sign = ["openssl", "x509", "-req", "-in", request, "-CA", top, "-CAkey", root_key, f"-{digest}", "-days", "9"]
        sign += ["-extfile", tmp_path / "ext", "-out", tmp_path / "leaf.pem"]
        subprocess.run(sign, check=True, capture_output=True)
        leaf = x509.load_pem_x509_certificate((tmp_path / "leaf.pem").read_bytes())
        when = leaf.not_valid_before_utc + DAY
        found = check_chain(leaf, roots=[rsa_root.certificate], when=when, source="x")
        assert "weak-digest" in rules(found)
        assert digest.upper() in " ".join(each.message for each in found.findings)
        lenient = check_chain(leaf, roots=[rsa_root.certificate], when=when, source="x", allow_sha1=True)
        assert lenient.trusted is (digest == "sha1")
    # Another certificate's signature by SHA-1 is no better than none.
    stranger = issue("RSA Root", kind="rsa2048", number=99, ca=True)
    assert "untrusted" in rules(check_chain(leaf, roots=[stranger.certificate], when=when, source="x"))


def test_every_rule_is_listed_with_its_level_and_no_other() -> None:
    project = Path(__file__).parents[3]
    page = (project / "docs" / "explanation" / "signing.md").read_text()
    listed = set(re.findall(r"`chain\.([a-z-]+)`", page))
    source = "".join((project / "src" / "hwdash" / "drivers" / each).read_text() for each in ("chain.py", "crl.py"))
    found = set(re.findall(r'_finding\(\s*"([a-z-]+)"', source)) | set(re.findall(r'"chain\.([a-z-]+)"', source))
    assert listed == found
    assert {"untrusted", "revoked", "timestamp", "weak-digest"} <= found


class TestTheWayToARoot:
    def test_a_root_that_was_not_given_is_not_believed(self) -> None:
        found = judge(signer(), roots=[issue("Other Root", ca=True)])
        assert rules(found) == ["untrusted"]
        assert "Test Root, which is not among the roots given" in found.findings[0].message

    def test_a_missing_issuer_is_named(self) -> None:
        found = check_chain(signer().certificate, roots=[root().certificate], when=NOW, source="x")
        assert rules(found) == ["untrusted"]
        assert "No certificate at hand issued Test Signer p256: CN=Test CA did." in found.findings[0].message
        assert found.chain == (signer().certificate,)

    def test_an_issuer_of_the_same_name_and_another_key_is_none(self) -> None:
        impostor = issue("Test CA", root(), number=-1, ca=True)
        found = check_chain(
            signer().certificate, roots=[root().certificate], others=[impostor.certificate], when=NOW, source="x"
        )
        assert rules(found) == ["untrusted"]

    def test_the_good_one_of_several_ways_is_taken(self) -> None:
        """The CA has two certificates: one expired, one good, and a third by a root that nobody gave."""
        own = Holder(authority().key, authority().certificate, None)

        def again(issuer: Holder, end: datetime) -> x509.Certificate:
            builder = x509.CertificateBuilder(
                issuer.certificate.subject, own.certificate.subject, own.key.public_key(), 5, NOW - YEAR, end
            )
            constraints = x509.BasicConstraints(ca=True, path_length=None)
            return builder.add_extension(constraints, critical=True).sign(issuer.key, hashes.SHA256())

        other_root = issue("Other Root", ca=True)
        ways = [again(other_root, NOW + YEAR), again(root(), NOW - DAY), authority().certificate]
        for others in (ways, ways[::-1]):
            found = check_chain(signer().certificate, roots=[root().certificate], others=others, when=NOW, source="x")
            assert found.trusted
            assert found.chain[1] == authority().certificate
        found = check_chain(signer().certificate, roots=[root().certificate], others=ways[:2], when=NOW, source="x")
        assert rules(found) == ["expired"]
        both = [root().certificate, other_root.certificate]
        assert check_chain(signer().certificate, roots=both, others=ways[:2], when=NOW, source="x").trusted

    def test_a_signer_that_is_itself_a_root_is_trusted(self) -> None:
        alone = issue("Alone", usages=[CODE], key_usage=usage(key_encipherment=True))  # as WDK test certificates are
        assert judge(alone).trusted
        assert rules(judge(issue("Web", usages=[SERVER]))) == ["extended-key-usage"]

    def test_certificates_that_vouch_for_one_another_end(self) -> None:
        """Cross-certificates between many CAs of one name: the number of paths grows with the factorial."""
        names = ["Loop"] * 12
        tops = [issue(name, number=100 + number, ca=True) for number, name in enumerate(names)]
        crossed = [issue("Loop", top, number=200, ca=True).certificate for top in tops for _ in range(6)]
        leaf = issue("Leaf", Holder(issue("Loop", number=200, ca=True).key, tops[0].certificate, None), usages=[CODE])
        others = [*crossed, *(top.certificate for top in tops)]
        found = check_chain(leaf.certificate, roots=[root().certificate], others=others, when=NOW, source="x")
        assert "untrusted" in rules(found)

    def test_a_chain_that_is_too_long_is_not_followed(self) -> None:
        holder = root()
        for number in range(9):
            holder = issue(f"CA {number}", holder, ca=True)
        found = judge(issue("Leaf", holder, usages=[CODE]))
        assert rules(found) == ["untrusted"]
        assert (
            "After 8 certificates" in found.findings[-1].message or "After 8 certificates" in found.findings[0].message
        )

    def test_a_root_of_version_1_counts(self, tmp_path: Path) -> None:
        key, request = tmp_path / "v1.key", tmp_path / "v1.pem"
        new = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=V1", "-keyout", key]
        subprocess.run([*new, "-out", tmp_path / "csr"], check=True, capture_output=True)
        sign = ["openssl", "x509", "-req", "-in", tmp_path / "csr", "-signkey", key, "-days", "9", "-out", request]
        subprocess.run(sign, check=True, capture_output=True)
        top = x509.load_pem_x509_certificate(request.read_bytes())
        assert top.version is x509.Version.v1
        holder = Holder(load_pem_private_key(key.read_bytes(), None), top, None)
        leaf = issue("Leaf", holder, ca=False)
        assert check_chain(leaf.certificate, roots=[top], when=top.not_valid_before_utc + DAY, source="x").trusted
        below = Holder(holder.key, top, root())
        assert "untrusted" in rules(judge(Holder(leaf.key, leaf.certificate, below), roots=[root()]))


def revocation_list(
    issuer: Holder,
    *revoked: tuple[Holder, datetime],
    begin: datetime = NOW - DAY,
    end: datetime | None = NOW + DAY,
    invalid: datetime | None = None,
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, begin, end or begin)
    for holder, when in revoked:
        entry = x509.RevokedCertificateBuilder(holder.certificate.serial_number, when)
        entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        if invalid is not None:
            entry = entry.add_extension(x509.InvalidityDate(invalid.replace(tzinfo=None)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    for value, critical in more:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def scope(**named: bool) -> tuple[x509.ExtensionType, bool]:
    names = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")
    flags = {name: named.get(name, False) for name in names}
    point = x509.IssuingDistributionPoint(full_name=None, relative_name=None, only_some_reasons=None, **flags)
    return point, True


CLEAN = (revocation_list(authority()), revocation_list(root()))


class TestRevocation:
    def test_lists_that_do_not_name_anybody_leave_nothing_to_say(self) -> None:
        found = judge(signer(), crls=CLEAN)
        assert (found.trusted, found.findings) == (True, ())
        pem = x509.load_der_x509_crl(CLEAN[0]).public_bytes(Encoding.PEM)
        assert judge(signer(), crls=[pem, CLEAN[1]]).findings == ()

    def test_who_was_revoked_before_it_signed_is_not_trusted(self) -> None:
        listed = revocation_list(authority(), (signer(), NOW - 2 * DAY))
        found = judge(signer(), crls=[listed, CLEAN[1]])
        assert rules(found) == ["revoked"]
        assert "(keyCompromise), no later than it signed" in found.findings[0].message

    def test_who_was_revoked_after_it_signed_was_good_then(self) -> None:
        listed = revocation_list(authority(), (signer(), NOW - 2 * DAY))
        found = judge(signer(), when=NOW - 3 * DAY, now=NOW, crls=[listed, CLEAN[1]])
        assert found.trusted
        assert rules(found, "warning") == ["revoked-later"]

    def test_an_invalidity_date_counts_before_the_revocation(self) -> None:
        listed = revocation_list(authority(), (signer(), NOW - 2 * DAY), invalid=NOW - 9 * DAY)
        assert rules(judge(signer(), when=NOW - 3 * DAY, now=NOW, crls=[listed, CLEAN[1]])) == ["revoked"]

    def test_a_revoked_authority_takes_its_signers_along(self) -> None:
        listed = revocation_list(root(), (authority(), NOW - 2 * DAY))
        assert rules(judge(signer(), crls=[CLEAN[0], listed])) == ["revoked"]

    def test_a_list_that_is_out_of_date_clears_nobody_and_still_revokes(self) -> None:
        old = revocation_list(authority(), begin=NOW - 9 * DAY, end=NOW - 2 * DAY)
        assert rules(judge(signer(), crls=[old, CLEAN[1]])) == ["stale-crl"]
        future = revocation_list(authority(), begin=NOW + DAY, end=NOW + 2 * DAY)
        assert rules(judge(signer(), crls=[future, CLEAN[1]])) == ["stale-crl"]
        listed = revocation_list(authority(), (signer(), NOW - 5 * DAY), begin=NOW - 4 * DAY, end=NOW - 2 * DAY)
        assert rules(judge(signer(), crls=[listed, CLEAN[1]])) == ["revoked"]
        assert judge(signer(), crls=[old, CLEAN[0], CLEAN[1]]).trusted

    def test_a_list_of_nobody_above_leaves_it_open(self) -> None:
        found = judge(signer(), crls=[CLEAN[1]])
        assert found.trusted
        assert rules(found, "warning") == ["no-crl"]

    @pytest.mark.parametrize(
        "listed",
        [
            revocation_list(Holder(root().key, authority().certificate, None), (signer(), NOW - 2 * DAY)),
            revocation_list(authority(), (signer(), NOW - 2 * DAY), more=(scope(indirect_crl=True),)),
            revocation_list(authority(), (signer(), NOW - 2 * DAY), more=(scope(only_contains_ca_certs=True),)),
            revocation_list(authority(), (signer(), NOW - 2 * DAY), more=(scope(only_contains_attribute_certs=True),)),
            revocation_list(
                authority(), (signer(), NOW - 2 * DAY), more=((x509.UnrecognizedExtension(CODE, b"\x05\x00"), True),)
            ),
        ],
        ids=["forged", "indirect", "of authorities", "of attributes", "critical extension"],
    )
    def test_a_list_that_does_not_speak_of_it_says_nothing(self, listed: bytes) -> None:
        found = judge(signer(), crls=[listed, CLEAN[1]])
        assert (found.trusted, rules(found, "warning")) == (True, ["no-crl"])

    def test_a_list_of_users_does_not_speak_of_authorities(self) -> None:
        listed = revocation_list(root(), (authority(), NOW - 2 * DAY), more=(scope(only_contains_user_certs=True),))
        assert rules(judge(signer(), crls=[CLEAN[0], listed]), "warning") == ["no-crl"]

    def test_a_delta_revokes_and_clears_nobody(self) -> None:
        delta = ((x509.DeltaCRLIndicator(1), True),)
        assert rules(judge(signer(), crls=[revocation_list(authority(), more=delta), CLEAN[1]])) == ["stale-crl"]
        listed = revocation_list(authority(), (signer(), NOW - 2 * DAY), more=delta)
        assert rules(judge(signer(), crls=[CLEAN[0], listed, CLEAN[1]])) == ["revoked"]

    def test_an_authority_that_may_not_sign_lists_signs_none(self) -> None:
        top = issue("No lists", ca=True, key_usage=usage(key_cert_sign=True))
        leaf = issue("Leaf", top, usages=[CODE])
        listed = revocation_list(top, (leaf, NOW - 2 * DAY))
        assert rules(judge(leaf, crls=[listed]), "warning") == ["no-crl"]

    @pytest.mark.parametrize("content", [b"", b"\x30\x00", b"-----BEGIN X509 CRL-----\n", b"-----" * 9])
    def test_bytes_that_are_no_list_are_an_error_of_ours(self, content: bytes) -> None:
        with pytest.raises(ParseError, match="CRL cannot be read"):
            judge(signer(), crls=[content])


def trust(who: Holder, stamp: datetime | None, *, now: datetime, by: Holder | None = None, **how) -> Trust:
    """Of an image that ``who`` signed and ``by`` stamped."""
    timestamp = (lambda value: token(value, stamp, by)) if stamp is not None else None
    (report,) = reports(signed_image(None, who, timestamp=timestamp))
    assert report.signature is not None
    return check_trust(report.signature, roots=[root().certificate], now=now, source="x", **how)


SHORT = issue("Short-lived", authority(), ca=False, usages=[CODE], begin=NOW - 10 * DAY, end=NOW - 5 * DAY)
LIFE = issue("Lifetime", authority(), ca=False, usages=[CODE, LIFETIME], begin=NOW - 10 * DAY, end=NOW - 5 * DAY)
STAMPED = NOW.replace(microsecond=0) - 7 * DAY


class TestTheTimeThatCounts:
    def test_a_timestamp_lets_a_signature_outlive_its_certificate(self) -> None:
        found = trust(SHORT, STAMPED, now=NOW)
        assert (found.trusted, found.findings, found.when) == (True, (), STAMPED)
        assert found.timestamp is not None
        assert found.timestamp.chain[0] == timestamper().certificate
        assert rules(trust(SHORT, None, now=NOW)) == ["expired"]

    def test_lifetime_signing_ends_with_the_certificate(self) -> None:
        found = trust(LIFE, STAMPED, now=NOW)
        assert (rules(found), found.when) == (["expired"], NOW)
        assert trust(LIFE, STAMPED, now=STAMPED).trusted

    def test_a_timestamp_before_or_after_the_certificates_life_does_not_help(self) -> None:
        assert rules(trust(SHORT, NOW - 11 * DAY, now=NOW)) == ["not-yet-valid"]
        assert rules(trust(SHORT, NOW - 2 * DAY, now=NOW)) == ["expired"]

    def test_a_timestamp_of_nobody_trusted_does_not_count_and_is_told(self) -> None:
        stranger = issue("Strange TSA", issue("Strange Root", ca=True), kind="rsa2048", usages=[TIME], critical=True)
        found = trust(SHORT, STAMPED, now=NOW, by=stranger)
        assert (rules(found), rules(found, "warning"), found.when) == (["expired"], ["timestamp"], NOW)
        assert found.timestamp is not None
        assert rules(found.timestamp) == ["untrusted"]
        both = [root().certificate, stranger.root]
        assert trust(SHORT, STAMPED, now=NOW, by=stranger, timestamp_roots=both).trusted

    def test_an_authority_whose_certificate_ended_since_stamped_well(self) -> None:
        ended = issue(
            "Ended TSA", authority(), kind="rsa2048", usages=[TIME], critical=True, end=NOW - 6 * DAY, key_usage=SIGNS
        )
        assert trust(SHORT, STAMPED, now=NOW, by=ended).trusted
        late = trust(SHORT, NOW.replace(microsecond=0) - 5 * DAY, now=NOW, by=ended)
        assert rules(late, "warning") == ["timestamp"]

    def test_a_timestamp_of_the_future_does_not_count(self) -> None:
        found = trust(signer(), NOW.replace(microsecond=0) + DAY, now=NOW)
        assert (found.trusted, rules(found, "warning"), found.when) == (True, ["timestamp"], NOW)

    def test_a_timestamp_that_does_not_hold_is_told(self) -> None:
        (report,) = reports(signed_image(timestamp=lambda _value: token(b"else")))
        assert report.signature is not None
        found = check_trust(report.signature, roots=[root().certificate], now=NOW, source="x")
        assert (found.trusted, rules(found, "warning"), found.timestamp) == (True, ["timestamp"], None)

    def test_who_was_revoked_after_the_timestamp_was_good_then(self) -> None:
        listed = revocation_list(authority(), (SHORT, NOW - 6 * DAY))
        assert trust(SHORT, STAMPED, now=NOW, crls=[listed, CLEAN[1]]).trusted
        earlier = revocation_list(authority(), (SHORT, NOW - 8 * DAY))
        assert rules(trust(SHORT, STAMPED, now=NOW, crls=[earlier, CLEAN[1]])) == ["revoked"]

    def test_a_signer_of_code_makes_no_timestamps_and_the_other_way_round(self) -> None:
        assert rules(judge(signer(), usage=TIME_STAMPING)) == ["extended-key-usage"]
        assert rules(judge(timestamper())) == ["extended-key-usage"]
        assert judge(timestamper(), usage=TIME_STAMPING).trusted
        assert rules(judge(issue("Bare", root()), usage=TIME_STAMPING)) == ["extended-key-usage"]
