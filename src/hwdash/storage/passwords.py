"""Passwords of people: scrypt (RFC 7914) with 32 MB, about a tenth of a second each."""

import base64
import hashlib
import hmac
import secrets
import unicodedata

COST, BLOCK, PARALLEL = 1 << 15, 8, 1
MIN_LENGTH, MAX_LENGTH = 12, 256
_MEMORY = 64 << 20
_SALT, _HASH = 16, 32


def password_findings(password: str, login: str) -> list[str]:
    """What is wrong with a chosen password (NIST SP 800-63B 5.1.1.2: length counts, composition does not)."""
    findings = []
    if len(password) < MIN_LENGTH:
        findings.append(f"it must have {MIN_LENGTH} characters or more")
    if len(password) > MAX_LENGTH:
        findings.append(f"it must have {MAX_LENGTH} characters or fewer")
    if len(set(password)) < 5:
        findings.append("it must have 5 different characters or more")
    if login and login.casefold() in password.casefold():
        findings.append("it must not contain the name that you sign in with")
    return findings


def new_one_time_password() -> str:
    """120 random bits, in letters that can be read out."""
    return "-".join(base64.b32encode(secrets.token_bytes(15)).decode().lower()[at : at + 6] for at in range(0, 24, 6))


def hash_password(password: str) -> str:
    """What is stored: scheme, parameters, salt and hash."""
    salt = secrets.token_bytes(_SALT)
    digest = _scrypt(password, salt, COST, BLOCK, PARALLEL)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${salt.hex()}${digest.hex()}"


def password_matches(password: str, stored: str | None) -> bool:
    """Whether it is the stored one. Without a stored one the same work is done, and it is not."""
    if stored is None:
        _scrypt(password, bytes(_SALT), COST, BLOCK, PARALLEL)
        return False
    _, cost, block, parallel, salt, digest = stored.split("$")
    made = _scrypt(password, bytes.fromhex(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(made, bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    # Bounded before it is hashed, and one form for what one keyboard composes and another does not.
    text = unicodedata.normalize("NFKC", password[: MAX_LENGTH + 1]).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=_HASH)
