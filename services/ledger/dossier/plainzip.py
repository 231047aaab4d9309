"""The zip that a dossier is: plain members in order of their names, and for given contents always the same bytes.

Nothing is compressed, so nothing in it can be larger than it looks. A reader takes a zip apart, puts it together again
and compares: what is hidden between members, padded, cut, doubled or changed in any byte is found that way.
APPNOTE.TXT 6.3.10: local file header 4.3.7, central directory 4.3.12, its end 4.3.16.
"""

import re
import struct
import zlib
from collections.abc import Mapping
from typing import Final

SIZE_MAX_BYTES: Final = 256 * 1024 * 1024
FILES_MAX: Final = 60_000
NAME_MAX_CHARS: Final = 200
_NAME: Final = re.compile(r"[a-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,2}", re.ASCII)
_VERSION: Final = 20
_UNIX: Final = 3
_MIDNIGHT_1980: Final = 0x0021
_PLAIN_FILE: Final = 0o100644 << 16
_LINK: Final = 0o120000
_KIND: Final = 0o170000
_local: Final = struct.Struct("<4sHHHHHIIIHH")
_central: Final = struct.Struct("<4sBBHHHHHIIIHHHHHII")
_end: Final = struct.Struct("<4sHHHHIIH")


class BadZip(Exception):
    """A file that is not such a zip; the message says what is wrong with it."""


def build_zip(files: Mapping[str, bytes]) -> bytes:
    """Return the zip with these members."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name in sorted(files):
        assert _NAME.fullmatch(name) and len(name) <= NAME_MAX_CHARS, f"a member named {name}"
        content, encoded = files[name], name.encode()
        checksum, size = zlib.crc32(content), len(content)
        head = _local.pack(b"PK\x03\x04", _VERSION, 0, 0, 0, _MIDNIGHT_1980, checksum, size, size, len(encoded), 0)
        parts += [head, encoded, content]
        directory.append(
            _central.pack(
                *(b"PK\x01\x02", _VERSION, _UNIX, _VERSION, 0, 0, 0, _MIDNIGHT_1980, checksum, size, size),
                *(len(encoded), 0, 0, 0, 0, _PLAIN_FILE, offset),
            )
            + encoded
        )
        offset += len(head) + len(encoded) + size
    listing = b"".join(directory)
    end = _end.pack(b"PK\x05\x06", 0, 0, len(directory), len(directory), len(listing), offset, 0)
    return b"".join((*parts, listing, end))


def read_zip(raw: bytes) -> dict[str, bytes]:
    """Return the members of the zip in `raw`. Raises BadZip unless it is byte for byte one that `build_zip` makes."""
    if len(raw) > SIZE_MAX_BYTES:
        raise BadZip(f"it has {len(raw)} bytes: at most {SIZE_MAX_BYTES} are read")
    if len(raw) < _end.size or raw[-_end.size :][:4] != b"PK\x05\x06":
        raise BadZip("its end is missing: it is no zip, it was cut off, or something was added to it")
    count, size, offset = _read_end(raw)
    files: dict[str, bytes] = {}
    at = offset
    for _ in range(count):
        name, content, at = _read_member(raw, at, offset)
        if name in files:
            raise BadZip(f"{name!r} is in it twice")
        files[name] = content
    if at != offset + size:
        raise BadZip("its directory has another length than it says")
    if build_zip(files) != raw:
        raise BadZip("something in it is not as this kind of zip is made: hidden, moved, added or changed bytes")
    return files


def _read_end(raw: bytes) -> tuple[int, int, int]:
    """Return (members, bytes of the directory, where it begins)."""
    _, disk, first_disk, here, count, size, offset, comment = _end.unpack(raw[-_end.size :])
    if (disk, first_disk, comment) != (0, 0, 0) or here != count:
        raise BadZip("its end is not that of one plain file")
    if count > FILES_MAX:
        raise BadZip(f"{count} members are in it: at most {FILES_MAX} are read")
    if offset + size != len(raw) - _end.size:
        raise BadZip("its directory is not where its end says: bytes are missing or were added")
    return count, size, offset


def _read_member(raw: bytes, at: int, directory: int) -> tuple[str, bytes, int]:
    """Return (name, content, where the next one stands in the directory) of the member listed at `at`."""
    fields = raw[at : at + _central.size]
    if len(fields) < _central.size or fields[:4] != b"PK\x01\x02":
        raise BadZip("its directory is damaged")
    _, _, _, _, flags, method, _, _, _, packed, size, name_size, extra, comment, _, _, kind, offset = _central.unpack(
        fields
    )
    begin = at + _central.size
    name = _checked_name(raw[begin : begin + name_size])
    if flags or method:
        raise BadZip(f"{name!r} is compressed or encrypted: everything in a dossier is stored plain")
    if (kind >> 16) & _KIND == _LINK:
        raise BadZip(f"{name!r} is a link: only plain files are in a dossier")
    head_size = _local.size + name_size
    if packed != size or offset + head_size + size > directory:
        raise BadZip(f"{name!r} does not lie where it is listed")
    content = raw[offset + head_size : offset + head_size + size]
    return name, content, begin + name_size + extra + comment


def _checked_name(encoded: bytes) -> str:
    shown = encoded[:80].decode("utf-8", "replace")
    name = encoded.decode("ascii", "replace")
    if name.startswith(("/", "\\")) or ":" in name or ".." in name.replace("\\", "/").split("/"):
        raise BadZip(f"{shown!r} leads out of the folder")
    if not _NAME.fullmatch(name) or len(name) > NAME_MAX_CHARS:
        raise BadZip(f"{shown!r} is no name of a file in a dossier")
    return name
