"""The signer in a process of its own: keys are decrypted there and nowhere else.

``SignerProcess`` starts ``python -I -m hwdash.signing.process KEYS_FOLDER OPENING``. The two speak lines of JSON over a
socket pair, which is the child's standard input: the first line up carries the certificates; after that requests and
answers alternate. ``OPENING`` is the number of a pipe that says once where the passphrase is. The child reads it there
itself, so that it never is in the parent; only one that the parent was given in a variable is said outright, because
the child must not have it in its environment.

The child cannot be traced or dumped, starts no other program, and ends with its parent: by the end of the socket, and
by PR_SET_PDEATHSIG should anything else hold the socket open.
"""

import base64
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BufferedRWPair
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hwdash.clock import Clock, system_clock
from hwdash.signing.authority import IDENTITIES, ensure_authority, has_signing_keys, is_sandbox_authority
from hwdash.signing.errors import KeysError, SignerUnavailable, SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.provenance import (
    SignedStatement,
    StatementRequest,
    StatementSigner,
    parse_statement_request,
    statement_document,
)
from hwdash.signing.release import approvals_needed
from hwdash.signing.revocation import CrlSigner, keys_state, replace_revoked
from hwdash.signing.signer import LocalSigner, SignedAttributes, SigningRequest, parse_request, request_document

# A request for a signature has some kilobytes; one for a statement names every file of a package, twice in its answer.
MAX_LINE = 64 << 20

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
# Enough to load the libraries and to open a key (16 MB); a leak ends the child, not the machine.
_CHILD_MEMORY = 1024**3
# What an interpreter may need to start; nothing else of the service's environment reaches the child.
_CHILD_ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH")
# Where the passphrase is, or what it is (settings.py).
_PASSPHRASE_SOURCE = ("HWDASH_KEY_PASSPHRASE", "HWDASH_KEY_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY")


class SignerProcess:
    """A Signer (signer.py) whose keys are in another process. Any thread may call it; requests are signed in turn.

    A child that died is started again, and the request it had is sent once more: requests are repeatable.
    """

    def __init__(self, keys_folder: Path, opening: Mapping[str, Any], timeout: float) -> None:
        self._keys_folder = keys_folder
        self._opening = opening
        self._timeout = timeout
        self._child: _Child | None = None
        # One thread that lives as long as this object: it keeps requests in turn, and PR_SET_PDEATHSIG
        # is sent when the thread that started the child ends, not the process.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="signer")

    @classmethod
    def start(
        cls,
        keys_folder: Path,
        *,
        timeout: float = 30.0,
        environment: Mapping[str, str] = os.environ,
        crl_url: str = "",
    ) -> "SignerProcess":
        """Start the process and wait until it has loaded its keys.

        ``timeout`` is in seconds, for the start and for each answer. ``crl_url`` is for certificates that it renews.
        Raises KeysError when the keys cannot be used, SignerUnavailable when the process does not come up.
        """
        source = {name: environment[name] for name in _PASSPHRASE_SOURCE if environment.get(name)}
        # The child works in another folder.
        source |= {name: os.path.abspath(path) for name, path in source.items() if name != _PASSPHRASE_SOURCE[0]}
        signer = cls(keys_folder, {"environment": source, "crlUrl": crl_url}, timeout)
        try:
            signer._thread.submit(signer._running).result()
        except _ChildFailed as error:
            signer.close()
            raise SignerUnavailable(f"the signer's process does not start: {error}") from error
        except BaseException:
            signer.close()
            raise
        return signer

    @property
    def pid(self) -> int | None:
        """The process id of the child, for monitoring."""
        return self._child.process.pid if self._child else None

    @property
    def root_certificate_pem(self) -> bytes:
        """The root that machines have to trust, PEM."""
        return self._ready().root_certificate_pem

    @property
    def chains(self) -> Mapping[str, tuple[bytes, ...]]:
        """The certificates of every identity: DER, leaf first, no root."""
        return self._ready().chains

    def chain(self, identity: str) -> tuple[bytes, ...]:
        """The certificates of an identity: DER, leaf first, no root. Raises SigningRefused for an unknown one."""
        chains = self.chains
        if identity not in chains:
            raise SigningRefused(f"there is no signing identity {identity!r}; there are {', '.join(IDENTITIES)}")
        return chains[identity]

    def sign(self, request: SigningRequest) -> SignedAttributes:
        """Sign, or raise SigningRefused (for good) or SignerUnavailable (try again later)."""
        answer = self._asked(request_document(request))
        attributes, signature, timestamp = _decoded(answer, "attributes", "signature", "timestamp")
        return SignedAttributes(attributes, signature, self.chain(request.identity), timestamp)

    def state(self, request: StatementRequest) -> SignedStatement:
        """Have a statement of provenance made, or raise SigningRefused (for good) or SignerUnavailable."""
        answer = self._asked({"statement": statement_document(request)})
        payload, signature, timestamp = _decoded(answer, "payload", "signature", "timestamp")
        chain = tuple(map(base64.b64decode, answer["chain"]))
        return SignedStatement(payload, signature, chain, timestamp)

    def crl(self) -> bytes:
        """The current list of revoked certificates, DER. Raises SignerUnavailable."""
        (crl,) = _decoded(self._asked({"crl": True}), "crl")
        return crl

    def approvals_needed(self, identity: str) -> int:
        """How many officers have to approve before a signature by ``identity``. Raises SignerUnavailable."""
        return int(self._asked({"approvalsNeeded": identity})["approvalsNeeded"])

    def _asked(self, document: dict[str, object]) -> dict[str, Any]:
        try:
            answer = self._thread.submit(self._ask, document)
        except RuntimeError as error:
            raise SignerUnavailable("the signer was closed") from error
        return answer.result()

    def close(self) -> None:
        """End the process once the requests under way are answered."""
        self._thread.shutdown()
        if self._child is not None:
            self._child.end()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self) -> "_Child":
        child = self._child
        if child is None:
            raise SignerUnavailable("the signer does not run")
        return child

    def _running(self) -> "_Child":
        if self._child is None or self._child.process.poll() is not None:
            if self._child is not None:
                self._child.kill()
            self._child = _Child(self._keys_folder, self._opening, self._timeout)
        return self._child

    def _ask(self, document: dict[str, object]) -> dict[str, Any]:
        try:
            try:
                return self._running().ask(document)
            except _ChildFailed:
                return self._running().ask(document)
        except (_ChildFailed, KeysError) as error:
            raise SignerUnavailable(f"the signer's process failed: {error}") from error


class _ChildFailed(Exception):
    """The child ended, fell silent or spoke nonsense. It has been killed."""


class _Child:
    """One run of the child process, from its first line to its end."""

    def __init__(self, keys_folder: Path, opening: Mapping[str, Any], timeout: float) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(timeout)
        self._stream = self._socket.makefile("rwb")
        reading, writing = os.pipe()
        with theirs, os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe:
            try:
                self.process = subprocess.Popen(  # noqa: S603 our own interpreter and module
                    [sys.executable, "-I", "-m", "hwdash.signing.process", str(keys_folder.absolute()), str(reading)],
                    stdin=theirs.fileno(),
                    pass_fds=[reading],
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env={name: os.environ[name] for name in _CHILD_ENVIRONMENT if name in os.environ},
                )
            except OSError as error:
                self._hang_up()
                raise _ChildFailed(str(error)) from error
            with suppress(BrokenPipeError):  # it has ended: what follows says so
                pipe.write(json.dumps(opening).encode())
                pipe.flush()
        first = self._heard()
        if "failed" in first:
            self.kill()
            raise KeysError(first["failed"])
        self.chains = {name: tuple(map(base64.b64decode, chain)) for name, chain in first["chains"].items()}
        self.root_certificate_pem: bytes = first["root"].encode()

    def ask(self, document: dict[str, object]) -> dict[str, Any]:
        """One request and its answer. Raises _ChildFailed beside what the answer says."""
        try:
            _send(self._stream, document)
        except OSError as error:
            self.kill()
            raise _ChildFailed(str(error)) from error
        answer = self._heard()
        if "refused" in answer:
            raise SigningRefused(*answer["refused"])
        if "unavailable" in answer:
            raise SignerUnavailable(answer["unavailable"])
        return answer

    def _heard(self) -> dict[str, Any]:
        try:
            line = self._stream.readline(MAX_LINE)
            if not line.endswith(b"\n"):
                self.kill()
                raise _ChildFailed(f"it ended with exit code {self.process.returncode}")
            answer: dict[str, Any] = json.loads(line)
        except (OSError, ValueError) as error:
            self.kill()
            raise _ChildFailed(str(error)) from error
        return answer

    def end(self) -> None:
        """Let it end by the end of its input; kill it when it does not."""
        self._hang_up()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it now and give its socket back."""
        self.process.kill()
        self.process.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        # What was not sent yet goes nowhere.
        with suppress(OSError):
            self._stream.close()
        self._socket.close()


def _decoded(answer: Mapping[str, Any], *names: str) -> Iterator[bytes]:
    return (base64.b64decode(answer[name]) for name in names)


def _encoded(**parts: bytes) -> dict[str, object]:
    return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def _send(stream: BufferedRWPair, document: Mapping[str, Any]) -> None:
    stream.write(json.dumps(document).encode() + b"\n")
    stream.flush()


def _harden() -> None:
    """Keep keys out of core dumps, debuggers and other programs, and end with the parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option} was refused")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_CHILD_MEMORY, _CHILD_MEMORY))
    os.umask(0o077)
    # Ctrl-C and a supervisor's signal reach the whole group; the parent still needs signatures while it drains.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _close_the_doors() -> None:
    """Once everything is loaded: no more files, no processes."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _answer(
    signer: LocalSigner, statements: StatementSigner, crls: CrlSigner, clock: Clock, line: bytes
) -> dict[str, object]:
    try:
        return _answered(signer, statements, crls, clock, line)
    except SigningRefused as error:
        return {"refused": error.reasons}
    except (KeysError, SignerUnavailable) as error:
        return {"unavailable": str(error)}


def _answered(
    signer: LocalSigner, statements: StatementSigner, crls: CrlSigner, clock: Clock, line: bytes
) -> dict[str, object]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise SigningRefused("the request is not JSON") from None
    if isinstance(document, dict) and set(document) == {"statement"}:
        stated = statements.sign(parse_statement_request(document["statement"]))
        chain = [base64.b64encode(each).decode() for each in stated.chain]
        parts = _encoded(payload=stated.payload, signature=stated.signature, timestamp=stated.timestamp)
        return {**parts, "chain": chain}
    if document == {"crl": True}:
        return _encoded(crl=crls.crl(clock()))
    if isinstance(document, dict) and set(document) == {"approvalsNeeded"}:
        control = signer.releases.control()
        return {"approvalsNeeded": approvals_needed(control, str(document["approvalsNeeded"]))}
    signed = signer.sign(parse_request(document))
    return _encoded(attributes=signed.attributes, signature=signed.signature, timestamp=signed.timestamp)


def serve(stream: BufferedRWPair, folder: Path, opening: dict[str, Any], clock: Clock) -> None:
    """Load the keys with the passphrase that ``opening`` leads to, then answer requests until the stream ends.

    What a newer version of hwdash needs beside the keys that are there is made first, and what ends is renewed.
    """
    try:
        keys, crl_url = KeyFolder.open(folder, opening.pop("environment")), opening["crlUrl"]
        if has_signing_keys(keys):
            # A root that ends soon is no reason not to sign with what is valid.
            with suppress(KeysError):
                ensure_authority(keys, clock(), sandbox=is_sandbox_authority(keys), crl_url=crl_url)
            replace_revoked(keys, clock(), crl_url=crl_url)
        # Before the keys are read: what is revoked or replaced meanwhile must be seen.
        known = keys_state(keys.path)
        signer = LocalSigner(keys, clock)
        crls = CrlSigner(keys, known)
        statements = StatementSigner(keys, signer)
    except (KeysError, SignerUnavailable) as error:
        _send(stream, {"failed": str(error)})
        return
    del keys
    _close_the_doors()
    chains = {name: [base64.b64encode(each).decode() for each in signer.chain(name)] for name in IDENTITIES}
    _send(stream, {"chains": chains, "root": signer.root_certificate_pem.decode()})
    # A line beyond the limit ends the process: answered in parts, it would bring the two out of step.
    while line := stream.readline(MAX_LINE):
        if not line.endswith(b"\n"):
            return
        # A key was revoked or replaced meanwhile: the parent starts this process again, which loads the new one, and
        # asks it.
        if crls.is_outdated:
            return
        _send(stream, _answer(signer, statements, crls, clock, line))


def main() -> None:
    """The child's whole life."""
    _harden()
    with os.fdopen(int(sys.argv[2]), "rb") as pipe:
        opening = json.loads(pipe.read())
    with socket.socket(fileno=0) as channel, channel.makefile("rwb") as stream:
        serve(stream, Path(sys.argv[1]), opening, system_clock)


if __name__ == "__main__":
    main()
