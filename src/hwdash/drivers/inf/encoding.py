"""INF bytes to text.

Windows accepts UTF-16 little endian with a byte order mark, and 8-bit text in the machine's own code page
(install/general-guidelines-for-inf-files.md). Other encodings occur, so they are read too, with a finding.
"""

import codecs

from hwdash.drivers.findings import Finding, Level

_TO_UTF16 = "Save the file as UTF-16 little endian with a byte order mark."


def decode(data: bytes, *, source: str) -> tuple[str, str, list[Finding]]:
    """The text of an INF, the name of its encoding, and what is to be said about that encoding.

    The order of the tests: byte order mark, NUL bytes of UTF-16 without a mark, ASCII, strict UTF-8, Windows-1252.
    Bytes that the encoding does not know become U+FFFD, with a finding. Never raises.
    """
    for mark, codec, finding in (
        (codecs.BOM_UTF16_LE, "utf-16-le", None),
        (codecs.BOM_UTF16_BE, "utf-16-be", _unsupported("UTF-16 big endian", source)),
        (codecs.BOM_UTF8, "utf-8", _unsupported("UTF-8 with a byte order mark", source)),
    ):
        if data.startswith(mark):
            return _read(data[len(mark) :], codec, source, [finding] if finding else [])
    # ASCII text in UTF-16 has a NUL in every second byte; 8-bit text has none.
    low, high = data[0:4096:2], data[1:4096:2]
    for zeros, others, codec in ((high, low, "utf-16-le"), (low, high, "utf-16-be")):
        if zeros.count(0) * 3 > len(zeros) and others.count(0) * 3 < len(others):
            return _read(data, codec, source, [_unsupported("UTF-16 without a byte order mark", source)])
    if data.isascii():
        return data.decode("ascii"), "ascii", []
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        note = "The file holds 8-bit characters, which each machine reads in its own code page; here in Windows-1252."
        return _read(data, "cp1252", source, [_ambiguous(note, source)])
    note = "The file is UTF-8 without a byte order mark, which Windows reads in the machine's own code page."
    return text, "utf-8", [_ambiguous(note, source)]


def _read(data: bytes, codec: str, source: str, findings: list[Finding]) -> tuple[str, str, list[Finding]]:
    try:
        return data.decode(codec), codec, findings
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(codec, errors="replace").count("\n") + 1
        level: Level = "warning" if codec == "cp1252" else "error"
        broken = Finding("inf.1003", level, f"A byte sequence is not valid {codec}.", _TO_UTF16, source, line)
        return data.decode(codec, errors="replace"), codec, [*findings, broken]


def _unsupported(name: str, source: str) -> Finding:
    return Finding(
        "inf.1003", "error", f"The file is {name}, which Windows does not promise to read.", _TO_UTF16, source
    )


def _ambiguous(message: str, source: str) -> Finding:
    return Finding("inf.encoding-ambiguous", "warning", message, _TO_UTF16, source)
