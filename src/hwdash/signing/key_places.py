"""The places where signing keys can be kept instead of files, by the schemes of their URIs."""

from types import ModuleType

from hwdash.signing import pkcs11
from hwdash.signing.errors import KeysError
from hwdash.signing.key_elsewhere import TOKEN_SCHEME, VAULT_SCHEME, KeyElsewhere


def checked_place(text: str) -> str:
    """The URI of a place, as it is stored. Raises KeysError when it is none."""
    return str(_kind(text).place(text))


def new_key(place: str, secret: str, name: str, bits: int) -> KeyElsewhere:
    """Make a key at a place, which ``secret`` opens. Raises KeysError."""
    made: KeyElsewhere = _kind(place).new_key(place, secret, name, bits)
    return made


def open_key(uri: str, secret: str) -> KeyElsewhere:
    """The key of a URI. Raises KeysError."""
    found: KeyElsewhere = _kind(uri).open_key(uri, secret)
    return found


def _kind(uri: str) -> ModuleType:
    if uri.startswith(TOKEN_SCHEME):
        return pkcs11
    if uri.startswith(VAULT_SCHEME):
        from hwdash.signing import key_vault  # noqa: PLC0415 - its client takes longer to load than most commands

        return key_vault
    raise KeysError(
        f"{uri!r} names no place for keys: write pkcs11:token=NAME?module-path=FILE, or "
        f"{VAULT_SCHEME}https://NAME.vault.azure.net?tenant=ID&client=ID"
    )
