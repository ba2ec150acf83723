"""No secret, digest or signature is compared by ==, which stops at the first byte that differs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import ROOT

SOURCE = ROOT / "src" / "hwdash"
FOLDERS = ("server", "storage", "signing")
WORDS = frozenset(
    {
        *("secret", "password", "passphrase", "token", "cookie", "csrf"),
        *("signature", "sig", "mac", "hmac", "digest", "hash", "md5", "sha256", "thumbprint"),
    }
)
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*\Z")


def is_secret(operand: ast.expr) -> bool:
    """Whether an operand is named as what must not be guessed byte by byte.

    No constant of the code is a secret, no length is one, and what a database compares (``table.c.column``) is found by
    an index: the tables hold hashes of secrets only.
    """
    match operand:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            in_query = ".c." in ast.unparse(operand)
            return not in_query and not CONSTANT.match(name) and bool(WORDS & set(name.casefold().split("_")))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return bool(WORDS & set(name.casefold().split("_")))
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return any(map(is_secret, parts))
    return False


def compared(source: str) -> Iterator[tuple[int, str]]:
    """The line and the text of each comparison that takes as long as what it compares is alike."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        operands = [node.left, *node.comparators]
        if any(".c." in ast.unparse(each) for each in operands):
            continue
        for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
            by_value = isinstance(operator, ast.Eq | ast.NotEq) or (
                isinstance(operator, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List | ast.Set)
            )
            if by_value and (is_secret(left) or is_secret(right)):
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize(
    "file",
    [file for folder in FOLDERS for file in sorted((SOURCE / folder).rglob("*.py"))],
    ids=lambda file: file.relative_to(SOURCE).as_posix(),
)
def test_secrets_are_compared_by_compare_digest(file: Path) -> None:
    found = [f"line {line}: {text}: use hmac.compare_digest" for line, text in compared(file.read_text("utf-8"))]
    assert not found


@pytest.mark.parametrize(
    "planted",
    [
        "secret == given",
        "given != stored.password_hash",
        "request.md5('content-md5') != digest",
        "(self.token, name) == wanted",
        "signature in (first, second)",
        "if a == b == csrf: pass",
    ],
)
def test_a_planted_comparison_is_seen(planted: str) -> None:
    assert len(list(compared(planted))) == 1


@pytest.mark.parametrize(
    "sound",
    [
        "hmac.compare_digest(secret, given)",
        "len(digest) == 32",
        "grant == REFRESH_TOKEN",
        "secrets.c.secret_hash == wanted",
        "digest in self._verified",
        "secret is None",
    ],
)
def test_a_sound_one_is_let_pass(sound: str) -> None:
    # What is looked up by the hash of a secret tells nothing of the secret by its time.
    assert not list(compared(sound))
