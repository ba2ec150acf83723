"""The trust kit: what an administrator of machines needs to have them trust this service, and to know which will not.

Certificates alone are read, never a private key. The kit is written beside its place and appears there whole.
"""

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hwdash.domain.trust import IN_SHORT, NOTES, Kind, verdicts
from hwdash.signing.authority import IDENTITIES, PREPRODUCTION, PREPRODUCTION_ROOT
from hwdash.signing.keys import KeyFolder

_RELEASED = tuple(each for each in IDENTITIES if each != PREPRODUCTION)


class KitRefused(Exception):
    """The kit cannot be written there. The message says what to do."""


def write_kit(keys: KeyFolder, target: Path) -> list[str]:
    """Write the kit into a new folder; the names of its files. Raises KitRefused, KeysError and OSError."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise KitRefused(f"{target} is there already: name a new folder, or an empty one.")
    files = dict(_files(keys))
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.parent / f".{target.name}.{secrets.token_hex(8)}"
    try:
        made.mkdir()
        for name, content in files.items():
            (made / name).write_bytes(content)
        made.replace(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return sorted(files)


def _files(keys: KeyFolder) -> Iterator[tuple[str, bytes]]:
    root, issuing = keys.certificates("root")[0], keys.certificates("issuing")[0]
    certificates = {"root": root, "issuing": issuing}
    certificates |= {f"publisher-{each}": keys.certificates(each)[0] for each in _RELEASED}
    certificates[PREPRODUCTION_ROOT] = keys.certificates(PREPRODUCTION_ROOT)[0]
    certificates[f"publisher-{PREPRODUCTION}"] = keys.certificates(PREPRODUCTION)[0]
    for name, certificate in certificates.items():
        yield f"{name}.cer", certificate.public_bytes(Encoding.DER)
        yield f"{name}.pem", certificate.public_bytes(Encoding.PEM)
    stores = [("root.cer", "Root"), ("issuing.cer", "CA")]
    stores += [(f"publisher-{each}.cer", "TrustedPublisher") for each in ("attestation", "whql")]
    yield "install-trust.ps1", _install_script(stores, certificates, "trusts what this service releases").encode()
    test = [("root.cer", "Root"), ("issuing.cer", "CA")]
    test += [(f"publisher-{each}.cer", "TrustedPublisher") for each in ("test", "flight")]
    test += [(f"{PREPRODUCTION_ROOT}.cer", "Root"), (f"publisher-{PREPRODUCTION}.cer", "TrustedPublisher")]
    yield "install-test-trust.ps1", _install_script(test, certificates, "trusts test signatures of it too").encode()
    yield "test-signing.txt", _TEST_SIGNING.encode()
    yield "app-control-signer.xml", _app_control(issuing).encode()
    yield "index.html", _page(certificates).encode()


def _install_script(stores: list[tuple[str, str]], certificates: dict[str, x509.Certificate], what: str) -> str:
    """PowerShell: import what is what the kit was made with, and nothing else."""
    rows = []
    for file, store in stores:
        der = certificates[file.removesuffix(".cer")].public_bytes(Encoding.DER)
        digest = hashlib.sha256(der).hexdigest().upper()
        rows.append(f"    @{{ File = '{file}'; Store = '{store}'; Sha256 = '{digest}' }}")
    return "\r\n".join(
        [
            "#Requires -RunAsAdministrator",
            f"# After this the machine {what}.",
            "# It does not make Windows load kernel drivers: index.html says where they load.",
            "$ErrorActionPreference = 'Stop'",
            "$certificates = @(",
            *rows,
            ")",
            "foreach ($each in $certificates) {",
            "    $path = Join-Path $PSScriptRoot $each.File",
            "    if ((Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash -ne $each.Sha256) {",
            '        throw "$path is not the certificate that this script was made for. Get the kit again."',
            "    }",
            "}",
            "foreach ($each in $certificates) {",
            "    $path = Join-Path $PSScriptRoot $each.File",
            '    $store = "Cert:\\LocalMachine\\$($each.Store)"',
            "    Import-Certificate -FilePath $path -CertStoreLocation $store | Out-Null",
            '    Write-Output "$($each.File) is in $($each.Store)"',
            "}",
            "",
        ]
    )


_TEST_SIGNING = """\
Test-signing mode, for machines that only test
==============================================

The kernel then loads drivers that anybody has signed. Do not do this on a machine that matters.

1. Suspend BitLocker, or have its recovery key at hand.
2. Switch Secure Boot off in the firmware. With Secure Boot on, the option below has no effect.
3. In an elevated command prompt:  bcdedit /set testsigning on
4. Restart. The desktop says "Test Mode".
5. Run install-test-trust.ps1, so that the device installation takes the catalogs.

To go back:  bcdedit /set testsigning off, restart, and switch Secure Boot on again.

Source: "The TESTSIGNING Boot Configuration Option" and "Secure boot feature signing requirements for kernel-mode
drivers", Microsoft Learn.
"""


def _app_control(issuing: x509.Certificate) -> str:
    """The signer for an App Control policy: below this CA, and of drivers only with hardware verification.

    CertRoot names the certificate by the hash of what its issuer signed (TBS); an EKU's value is its OID in DER with
    the tag 01 instead of 06, as the policies in Windows' own schema folder have it.
    """
    algorithm = issuing.signature_hash_algorithm
    digest = hashes.Hash(algorithm if algorithm is not None else hashes.SHA256())
    digest.update(issuing.tbs_certificate_bytes)
    name = escape(_common_name(issuing))
    return f"""\
<?xml version="1.0" encoding="utf-8"?>
<!-- A part of an App Control policy, to be merged into yours (Merge-CIPolicy, or by hand); not a policy by itself.
     Kernel-mode code (scenario 131) is only taken for it where the policy has custom kernel signers and is signed below
     the Secure Boot keys of the machine; user-mode code (scenario 12) where the policy covers it. See index.html. -->
<SiPolicy xmlns="urn:schemas-microsoft-com:sipolicy">
  <EKUs>
    <EKU ID="ID_EKU_HWDASH_HDV" Value="010A2B0601040182370A0305" FriendlyName="Windows Hardware Driver Verification" />
  </EKUs>
  <Signers>
    <Signer ID="ID_SIGNER_HWDASH" Name="{name}">
      <CertRoot Type="TBS" Value="{digest.finalize().hex().upper()}" />
      <CertEKU ID="ID_EKU_HWDASH_HDV" />
    </Signer>
  </Signers>
  <SigningScenarios>
    <SigningScenario Value="131" ID="ID_SIGNINGSCENARIO_DRIVERS" FriendlyName="Drivers">
      <ProductSigners>
        <AllowedSigners>
          <AllowedSigner SignerId="ID_SIGNER_HWDASH" />
        </AllowedSigners>
      </ProductSigners>
    </SigningScenario>
    <SigningScenario Value="12" ID="ID_SIGNINGSCENARIO_WINDOWS" FriendlyName="User mode">
      <ProductSigners>
        <AllowedSigners>
          <AllowedSigner SignerId="ID_SIGNER_HWDASH" />
        </AllowedSigners>
      </ProductSigners>
    </SigningScenario>
  </SigningScenarios>
</SiPolicy>
"""


def _page(certificates: dict[str, x509.Certificate]) -> str:
    tables = "\n".join(
        f"<h2>{kind.value.capitalize()} packages</h2>\n{_HEAD}{''.join(_rows(kind))}</table>" for kind in Kind
    )
    notes = "".join(f"<li>{escape(note)} <i>{escape(source)}</i>" for note, source in NOTES)
    listed = "".join(
        f"<tr><td>{name}<td>{escape(_common_name(each))}<td>{each.not_valid_after_utc:%Y-%m-%d}"
        f"<td><code>{each.fingerprint(hashes.SHA256()).hex()}</code>"
        for name, each in certificates.items()
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Trust in this service</title>
<style>body{{font:1rem/1.5 sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}}
.never{{background:#fbe3e3}}.loads{{background:#e3f5e3}}</style>
<h1>Where packages of this service load</h1>
<p><b>{escape(IN_SHORT)}</b></p>
<p>64-bit Windows is meant. The documents named are pages of Microsoft Learn.</p>
{tables}
<h2>Beside that</h2><ul>{notes}</ul>
<h2>What is in this folder</h2>
<ul><li><code>install-trust.ps1</code>: root, issuing CA and release publishers into the machine's stores.
<li><code>install-test-trust.ps1</code>: those of test, flight and preproduction signatures, for test machines.
<li><code>test-signing.txt</code>: how to switch test-signing mode on, and off again.
<li><code>app-control-signer.xml</code>: the signer for an App Control policy.</ul>
<table><tr><th>file<th>certificate<th>valid until<th>SHA-256{listed}</table>
</html>
"""


_HEAD = "<table><tr><th>Windows<th>Secure Boot<th>set-up<th>verdict<th>why<th>source"


def _rows(kind: Kind) -> Iterator[str]:
    for each in verdicts(kind):
        state = "never" if each.answer.startswith("never") else "loads"
        cells = (each.windows.name, "on" if each.secure_boot else "off", each.set_up)
        yield "\n<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells)
        yield f'<td class="{state}">{escape(each.answer)}<td>{escape(each.why)}<td>{escape(each.source)}'


def _common_name(certificate: x509.Certificate) -> str:
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)
