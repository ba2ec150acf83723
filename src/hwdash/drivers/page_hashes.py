"""Page hashes: a digest for every 4 KiB page of a PE image, so that Windows can check pages as it loads them.

Sources: Microsoft's "Windows Authenticode Portable Executable Signature Format" names them and leaves their form out;
facts/package-formats.md has what signed files hold. The list is a sequence of entries, each a file offset (u32,
little-endian) and a digest:

- offset 0: the headers without CheckSum and security directory entry, then zeros for the rest of a page;
- each section's pages in the order of the section table, the last one filled up with zeros;
- at last the end of the last section, with zeros for a digest.
"""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from hwdash.drivers.errors import LimitExceeded, ParseError

PAGE_SIZE: Final = 4096
# A signature has at most 16 MiB (asn1/signed_data.py); the list is the greater part of it.
_MAX_LIST: Final = 12 << 20


class PageHasher:
    """Takes an image's bytes in one pass, from the front, and digests them by pages.

    ``headers_size`` is SizeOfHeaders; ``sections`` are (offset, size) in the order of the section table, in bytes. What
    CheckSum and security directory entry hold is not to be given. ParseError when the image has no page hashes: headers
    larger than a page, or sections that overlap. LimitExceeded above some 1.4 GB.
    """

    def __init__(
        self, headers_size: int, sections: Sequence[tuple[int, int]], algorithms: Sequence[str], *, source: str
    ) -> None:
        if not 0 < headers_size <= PAGE_SIZE:
            message = f"{headers_size} bytes of headers: page hashes exist for headers within one page"
            raise ParseError(message, source=source, field="SizeOfHeaders")
        filled = [(start, start + size) for start, size in sections if start and size]
        # Each span with the number of its first page in the list.
        self._spans: list[tuple[int, int, int]] = [(0, headers_size, 0)]
        count = 1
        for start, end in filled:
            self._spans.append((start, end, count))
            count += -((start - end) // PAGE_SIZE)
        self._spans.sort()
        for (_, end, _), (start, _, _) in pairwise(self._spans):
            if start < end:
                message = f"the section at {start:#x} overlaps what is before it: there are no page hashes of it"
                raise ParseError(message, source=source, field="PointerToRawData")
        self._starts = [start for start, _, _ in self._spans]
        self._sizes = {name: hashlib.new(name, usedforsecurity=False).digest_size for name in algorithms}
        if any((count + 1) * (4 + size) > _MAX_LIST for size in self._sizes.values()):
            raise LimitExceeded("the image is too large for page hashes", source=source)
        self._lists = {name: bytearray((count + 1) * (4 + size)) for name, size in self._sizes.items()}
        for name, size in self._sizes.items():
            struct.pack_into("<I", self._lists[name], count * (4 + size), filled[-1][1] if filled else 0)
        self._begin_page()

    def update(self, at: int, chunk: bytes) -> None:
        """The bytes from file offset ``at`` on, behind those given before."""
        view = memoryview(chunk)
        while view:
            index = bisect_right(self._starts, at) - 1
            start, end, number = self._spans[index]
            if at >= end:
                # Between sections, or behind the last one: in no page.
                taken = self._starts[index + 1] - at if index + 1 < len(self._starts) else len(view)
            else:
                pages = (at - start) // PAGE_SIZE
                page = start + pages * PAGE_SIZE
                page_end = min(page + PAGE_SIZE, end)
                taken = page_end - at
                for digest in self._digests.values():
                    digest.update(view[:taken])
                if taken <= len(view):
                    self._end_page(number + pages, page, page_end)
            at += min(taken, len(view))
            view = view[taken:]

    def _begin_page(self) -> None:
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in self._lists}

    def _end_page(self, number: int, page: int, page_end: int) -> None:
        for name, digest in self._digests.items():
            digest.update(bytes(PAGE_SIZE - (page_end - page)))
            size = self._sizes[name]
            struct.pack_into(f"<I{size}s", self._lists[name], number * (4 + size), page, digest.digest())
        self._begin_page()

    def lists(self) -> dict[str, bytes]:
        """The page hashes by algorithm, once all bytes were given."""
        return {name: bytes(each) for name, each in self._lists.items()}
