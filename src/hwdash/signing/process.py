"""The signer in a process of its own: keys are decrypted there and nowhere else.

``SignerProcess`` starts ``python -I -m hwdash.signing.process KEYS_FOLDER OPENING``. The two speak lines of JSON over a
socket pair, which is the child's standard input: the first line up carries the certificates; after that requests and
answers alternate. ``OPENING`` is the number of a pipe that says once where the passphrase is. The child reads it there
itself, so that it never is in the parent; only one that the parent was given in a variable is said outright, because
the child must not have it in its environment.

The child cannot be traced or dumped, and ends with its parent: by the end of the socket, and by PR_SET_PDEATHSIG should
anything else hold the socket open. Before it opens a key it starts one program, the examiner, whose records it believes
(records.py); when its keys are open it hands the key of the records to it, over a pipe that nobody else has.
"""

import base64
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from io import BufferedRWPair
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from hwdash.clock import Clock, system_clock
from hwdash.signing.authority import IDENTITIES, ensure_authority, has_signing_keys, is_sandbox_authority
from hwdash.signing.errors import KeysError, LimitReached, SignerUnavailable, SigningError, SigningRefused
from hwdash.signing.hardening import harden
from hwdash.signing.keys import KeyFolder
from hwdash.signing.officers import DualControl
from hwdash.signing.provenance import (
    SignedStatement,
    StatementRequest,
    StatementSigner,
    parse_statement_request,
    statement_document,
)
from hwdash.signing.records import ensure_records_key, key_bytes
from hwdash.signing.revocation import CrlSigner, keys_state, replace_revoked
from hwdash.signing.signer import LocalSigner, SignedAttributes, SigningRequest, parse_request, request_document
from hwdash.signing.signer_socket import DistantProcess

R = TypeVar("R")

# A request for a signature has some kilobytes; one for a statement names every file of a package, twice in its answer.
MAX_LINE = 64 << 20

# Enough to load the libraries and to open a key (16 MB); a leak ends the child, not the machine.
_CHILD_MEMORY = 1024**3
# What an interpreter may need to start; nothing else of the service's environment reaches the child.
_CHILD_ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SOFTHSM2_CONF")
# Where the passphrase is, or what it is (settings.py).
_SECRETS = ("HWDASH_KEY_PASSPHRASE", "HWDASH_KEY_PIN")
_PASSPHRASE_SOURCE = (*_SECRETS, "HWDASH_KEY_PASSPHRASE_FILE", "HWDASH_KEY_PIN_FILE", "CREDENTIALS_DIRECTORY")


Start = Callable[[Sequence[int]], "subprocess.Popen[bytes] | DistantProcess"]
"""Starts the signer's process with the ends of two sockets: for requests, and for the connections to the examiner."""


@dataclass(frozen=True, slots=True)
class SignerStart:
    """How the signer's process is started by who may open its keys."""

    keys_folder: Path
    opening: Mapping[str, Any] = field(repr=False)
    examiner: tuple[str, ...]

    @classmethod
    def of(
        cls,
        keys_folder: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        crl_url: str = "",
        examiner: Sequence[str] = (),
    ) -> "SignerStart":
        """``environment`` says where the passphrase is. ``crl_url`` is for certificates that are renewed. ``examiner``
        is the module that examines packages and its arguments (pipeline/examination.py); empty: none does.
        """
        source = {name: environment[name] for name in _PASSPHRASE_SOURCE if environment.get(name)}
        # The child works in another folder.
        source |= {name: os.path.abspath(path) for name, path in source.items() if name not in _SECRETS}
        return cls(keys_folder.absolute(), {"environment": source, "crlUrl": crl_url}, tuple(examiner))

    def __call__(self, descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
        """Start it. Raises OSError."""
        requests, *others = descriptors
        reading, writing = os.pipe()
        command = [sys.executable, "-I", "-m", "hwdash.signing.process", str(self.keys_folder), str(reading)]
        if self.examiner and others:
            command += [str(others[0]), *self.examiner]
        with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe:
            process = subprocess.Popen(  # noqa: S603 our own interpreter and module
                command,
                stdin=requests,
                pass_fds=[reading, *(others if self.examiner else ())],
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in _CHILD_ENVIRONMENT if name in os.environ},
            )
            with suppress(BrokenPipeError):  # it has ended, which is seen on its socket
                pipe.write(json.dumps(self.opening).encode())
                pipe.flush()
        return process


class SignerProcess:
    """A Signer (signer.py) whose keys are in another process. Any thread may call it; requests are signed in turn.

    A child that died is started again, and the request it had is sent once more: requests are repeatable.
    """

    def __init__(self, start: Start, timeout: float) -> None:
        self._start = start
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
        examiner: Sequence[str] = (),
    ) -> "SignerProcess":
        """Start the process and wait until it has loaded its keys.

        ``timeout`` is in seconds, for the start and for each answer; the rest is as for ``SignerStart``. Raises
        KeysError when the keys cannot be used, SignerUnavailable when the process does not come up.
        """
        start = SignerStart.of(keys_folder, environment=environment, crl_url=crl_url, examiner=examiner)
        return cls(start, timeout)._ready_to_sign()

    @classmethod
    def connect(cls, path: Path, user: str, *, timeout: float = 30.0) -> "SignerProcess":
        """Have the process started by ``hwdash signer``, which ``user`` runs at the socket ``path``, and wait likewise.

        Raises KeysError when it cannot use its keys or is another user's, SignerUnavailable when nobody answers.
        """
        return cls(partial(DistantProcess, path, user), timeout)._ready_to_sign()

    def _ready_to_sign(self) -> "SignerProcess":
        try:
            self._thread.submit(self._running).result()
        except _ChildFailed as error:
            self.close()
            raise SignerUnavailable(f"the signer's process does not start: {error}") from error
        except BaseException:
            self.close()
            raise
        return self

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

    def sign(self, request: SigningRequest) -> list[SignedAttributes]:
        """Sign all, or raise SigningRefused (for good) or SignerUnavailable (try again later)."""
        answer, chain = self._asked(request_document(request)), self.chain(request.identity)
        parts = (_decoded(each, "attributes", "signature", "timestamp") for each in answer["signed"])
        return [SignedAttributes(attributes, signature, chain, stamp) for attributes, signature, stamp in parts]

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

    def dual_control(self) -> DualControl:
        """The officers and the policy that the signer goes by now. Raises SignerUnavailable."""
        return DualControl.parse(self._asked({"dualControl": True}), "what the signer answers")

    def refusals(self, after: int) -> tuple[list[dict[str, Any]], int]:
        """What was refused, as SignatureLog.refusals has it. Raises SignerUnavailable."""
        answer = self._asked({"refusalsAfter": after})
        return answer["refusals"], answer["end"]

    def examiner(self) -> socket.socket:
        """A new connection to the examiner, for one examination. Raises SignerUnavailable."""
        return self._in_turn(self._connect)

    def _asked(self, document: dict[str, object]) -> dict[str, Any]:
        return self._in_turn(partial(self._ask, document))

    def _in_turn(self, act: Callable[[], R]) -> R:
        try:
            answer = self._thread.submit(act)
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
            self._child = _Child(self._start, self._timeout)
        return self._child

    def _ask(self, document: dict[str, object]) -> dict[str, Any]:
        return self._twice(lambda child: child.ask(document))

    def _connect(self) -> socket.socket:
        return self._twice(lambda child: child.examiner())

    def _twice(self, act: Callable[["_Child"], R]) -> R:
        try:
            try:
                return act(self._running())
            except _ChildFailed:
                return act(self._running())
        except (_ChildFailed, KeysError) as error:
            raise SignerUnavailable(f"the signer's process failed: {error}") from error


class _ChildFailed(Exception):
    """The child ended, fell silent or spoke nonsense. It has been killed."""


class _Child:
    """One run of the child process, from its first line to its end."""

    def __init__(self, start: Start, timeout: float) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(timeout)
        self._stream = self._socket.makefile("rwb")
        self._examiner, examiners = socket.socketpair()
        with theirs, examiners:
            try:
                self.process = start([theirs.fileno(), examiners.fileno()])
            except OSError as error:
                self._hang_up()
                raise _ChildFailed(str(error)) from error
            except SigningError:
                self._hang_up()
                raise
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
        if "limited" in answer:
            raise LimitReached(*answer["limited"])
        if "unavailable" in answer:
            raise SignerUnavailable(answer["unavailable"])
        return answer

    def examiner(self) -> socket.socket:
        """A new connection to the examiner: one end of it is sent to it. Raises _ChildFailed when it is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._examiner, [b"\n"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                self.kill()
                raise _ChildFailed(f"the examiner ended: {error.strerror}") from error
        return ours

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
        self._examiner.close()


def _decoded(answer: Mapping[str, Any], *names: str) -> Iterator[bytes]:
    return (base64.b64decode(answer[name]) for name in names)


def _encoded(**parts: bytes) -> dict[str, object]:
    return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def _send(stream: BufferedRWPair, document: Mapping[str, Any]) -> None:
    stream.write(json.dumps(document).encode() + b"\n")
    stream.flush()


def _close_the_doors() -> None:
    """Once everything is loaded: no more files, no processes."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _answer(
    signer: LocalSigner, statements: StatementSigner, crls: CrlSigner, clock: Clock, line: bytes
) -> dict[str, object]:
    document = None
    try:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            raise SigningRefused("the request is not JSON") from None
        return _answered(signer, statements, crls, clock, document)
    except SigningRefused as error:
        return _refused(signer, document, error)
    except (KeysError, SignerUnavailable) as error:
        return {"unavailable": str(error)}


def _answered(
    signer: LocalSigner, statements: StatementSigner, crls: CrlSigner, clock: Clock, document: object
) -> dict[str, object]:
    if isinstance(document, dict) and set(document) == {"statement"}:
        stated = statements.sign(parse_statement_request(document["statement"]))
        chain = [base64.b64encode(each).decode() for each in stated.chain]
        parts = _encoded(payload=stated.payload, signature=stated.signature, timestamp=stated.timestamp)
        return {**parts, "chain": chain}
    if isinstance(document, dict) and set(document) == {"refusalsAfter"} and type(document["refusalsAfter"]) is int:
        refusals, end = signer.refusals(document["refusalsAfter"])
        return {"refusals": refusals, "end": end}
    if document == {"crl": True}:
        return _encoded(crl=crls.crl(clock()))
    if document == {"dualControl": True}:
        return signer.releases.control().document()
    made = signer.sign(parse_request(document))
    signed = (_encoded(attributes=it.attributes, signature=it.signature, timestamp=it.timestamp) for it in made)
    return {"signed": list(signed)}


def _refused(signer: LocalSigner, document: object, refusal: SigningRefused) -> dict[str, object]:
    """Whoever asks for what may not be signed leaves a line in the log, too."""
    try:
        signer.log_refusal(refusal, document)
    except SignerUnavailable as error:
        return {"unavailable": str(error)}
    return {"limited" if isinstance(refusal, LimitReached) else "refused": refusal.reasons}


def serve(
    stream: BufferedRWPair, folder: Path, opening: dict[str, Any], clock: Clock, examiner: int | None = None
) -> None:
    """Load the keys with the passphrase that ``opening`` leads to, then answer requests until the stream ends.

    ``examiner`` is the end of the pipe on which the examiner waits for its key.
    What a newer version of hwdash needs beside the keys that are there is made first, and what ends is renewed.
    """
    try:
        keys, crl_url = KeyFolder.open(folder, opening.pop("environment")), opening["crlUrl"]
        if has_signing_keys(keys):
            # A root that ends soon is no reason not to sign with what is valid.
            with suppress(KeysError):
                ensure_authority(keys, clock(), sandbox=is_sandbox_authority(keys), crl_url=crl_url)
            replace_revoked(keys, clock(), crl_url=crl_url)
            ensure_records_key(keys)
        # Before the keys are read: what is revoked or replaced meanwhile must be seen.
        known = keys_state(keys.path)
        signer = LocalSigner(keys, clock)
        crls = CrlSigner(keys, known)
        statements = StatementSigner(keys, signer)
        if examiner is not None:
            with suppress(BrokenPipeError):  # it has ended: this process is started again with it
                os.write(examiner, key_bytes(signer.records_key))
            os.close(examiner)
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


def _start_examiner(channel: int, words: Sequence[str]) -> int:
    """Start the module ``words[0]`` with the rest as arguments and the channel for its input. Returns the end of a pipe
    for its key; the number of the other end is its last argument.
    """
    reading, writing = os.pipe()
    subprocess.Popen(  # noqa: S603 our own interpreter and module
        [sys.executable, "-I", "-m", *words, str(reading)], stdin=channel, pass_fds=[reading], cwd="/"
    )
    os.close(channel)
    os.close(reading)
    return writing


def main() -> None:
    """The child's whole life."""
    folder, reading, *rest = sys.argv[1:]
    # Before anything is limited: the examiner starts processes, and has memory for large packages.
    examiner = _start_examiner(int(rest[0]), rest[1:]) if rest else None
    harden()
    resource.setrlimit(resource.RLIMIT_AS, (_CHILD_MEMORY, _CHILD_MEMORY))
    with os.fdopen(int(reading), "rb") as pipe:
        opening = json.loads(pipe.read())
    with socket.socket(fileno=0) as channel, channel.makefile("rwb") as stream:
        serve(stream, Path(folder), opening, system_clock, examiner)


if __name__ == "__main__":
    main()
