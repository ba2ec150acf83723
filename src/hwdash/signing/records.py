"""What the examiner vouches for, so that the signer has to believe nobody who asks (docs/adr/0034).

The examiner (pipeline/examiner.py) runs the steps that judge a package and seals, after each, what has passed so far:
whose submission it is, which package, the digest of each step's result in order, and at the end the digests of what may
be signed. The seal is a signature by the records key, which stands in the key folder: the signer's process opens it and
hands it to the examiner that it starts. Whoever carries a sealed examination about, as the worker does, can lose it and
can not change it.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from hwdash.signing.authority import IDENTITIES
from hwdash.signing.errors import KeysError, SigningRefused
from hwdash.signing.keys import Credential, KeyFolder

RECORDS = "records"
"""The name of the key. It has no certificate: nobody but the signer needs to know it."""

EXAMINED_STEPS = ("packageInfoValidation", "preparation", "scanning", "validation", "catalogCreation")
"""The steps that the examiner runs, in order."""

# So that what is signed here is never taken for anything else.
_CONTEXT = b"hwdash examination v1\n"


@dataclass(frozen=True, slots=True)
class Examination:
    """How far a package has passed. Digests are SHA-256 in lower-case hex."""

    identity: str
    """As whom it was judged: of authority.IDENTITIES. What passes as one is not signed as another."""
    object_id: int
    """Of the submission, or of the preproduction package, which has no product."""
    product_id: int
    account_id: int
    program_name: str
    """The vendor's company, as it was when the first step was done."""
    upload_sha256: str
    """Of the whole uploaded file."""
    package_sha256: str
    """Of what the upload's own signature covers."""
    steps: Mapping[str, str]
    """The passed steps in order, with the digests of their results."""
    signable: Mapping[str, Sequence[str]]
    """By content type the digests of the content that may be signed; empty until catalogCreation has passed."""
    when: datetime
    """When the last of the steps had passed."""

    def sealed(self, key: ec.EllipticCurvePrivateKey) -> str:
        """The examination as text under the seal of the examiner."""
        document = {
            "identity": self.identity,
            "objectId": self.object_id,
            "productId": self.product_id,
            "accountId": self.account_id,
            "programName": self.program_name,
            "uploadSha256": self.upload_sha256,
            "packageSha256": self.package_sha256,
            "steps": dict(self.steps),
            "signable": {kind: list(digests) for kind, digests in self.signable.items()},
            "when": self.when.isoformat(),
        }
        text = json.dumps(document, separators=(",", ":"))
        signature = key.sign(_CONTEXT + text.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return f"{base64.b64encode(signature).decode()}.{text}"


def opened(sealed: str, key: ec.EllipticCurvePublicKey) -> Examination:
    """The examination under a seal. Raises SigningRefused when the seal is not the examiner's."""
    signature, _, text = sealed.partition(".")
    try:
        key.verify(base64.b64decode(signature, validate=True), _CONTEXT + text.encode(), ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, ValueError, InvalidSignature):
        raise SigningRefused(
            "there is no examination with the seal of this service's examiner: it did not pass the package"
        ) from None
    return unsealed(sealed)


def unsealed(sealed: str) -> Examination:
    """What an examination says, its seal not verified: for whoever carries it."""
    said: dict[str, Any] = json.loads(sealed.partition(".")[2])
    return Examination(
        identity=said["identity"],
        object_id=said["objectId"],
        product_id=said["productId"],
        account_id=said["accountId"],
        program_name=said["programName"],
        upload_sha256=said["uploadSha256"],
        package_sha256=said["packageSha256"],
        steps=said["steps"],
        signable=said["signable"],
        when=datetime.fromisoformat(said["when"]),
    )


def ensure_records_key(keys: KeyFolder) -> None:
    """Make the key that examinations are sealed with when there is none. Raises KeysError."""
    if keys.has(RECORDS):
        return
    keys.read(IDENTITIES[0])  # a wrong passphrase must not make a key of its own
    with keys.locked():
        if not keys.has(RECORDS):
            keys.write(RECORDS, Credential(ec.generate_private_key(ec.SECP256R1()), ()))


def records_key(keys: KeyFolder) -> ec.EllipticCurvePrivateKey:
    """The key that examinations are sealed with, made when there is none. Raises KeysError."""
    ensure_records_key(keys)
    key = keys.read(RECORDS).key
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeysError(f"the key {keys.file(RECORDS)} is not one for examinations: restore the file")
    return key


def key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key on its way to the examiner."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def key_of_bytes(content: bytes) -> ec.EllipticCurvePrivateKey:
    """The key that arrived. Raises ValueError for what is none."""
    key = load_der_private_key(content, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key of the records is another kind")  # noqa: TRY004 - content, not a type of ours
    return key
