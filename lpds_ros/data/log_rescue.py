"""Finding the way back into a log whose framing is broken: the next chunk that agrees with itself."""

import struct

OPCODE = b"\x06"
# Of a chunk record: length, first and last time, size unpacked, checksum, length of the compression's name, size of its records.
HEAD = struct.Struct("<QQQQIIQ")
FIXED = HEAD.size - 8  # bytes of a chunk before its records, without its own length


def next_chunk(stream, offset: int) -> int | None:
    """Offset of the first uncompressed chunk at `offset` or after it, None where there is none. Its checksum is not looked at."""
    stream.seek(offset)
    content = stream.read()
    at = content.find(OPCODE)
    while 0 <= at <= len(content) - 1 - HEAD.size:
        length, _, _, size, _, name, records = HEAD.unpack_from(content, at + 1)
        if name == 0 and size == records and length == records + FIXED and at + 9 + length <= len(content):
            return offset + at
        at = content.find(OPCODE, at + 1)
    return None
