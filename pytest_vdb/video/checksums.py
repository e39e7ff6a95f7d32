"""Checksums that formats carry and that decoders compare in silence, if at all."""

from __future__ import annotations

import zlib

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ieee(data: bytes) -> bytes:
    """The checksum of Ogg and FFV1: zlib's, but from the other end of every byte, and begun and ended with zeros."""
    checksum = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return checksum.to_bytes(4, "big").translate(_REVERSED)


def ffv1_holds(packet: bytes) -> bool:
    """Whether every slice of an FFV1 frame ends with its own checksum; a file without them never says so.

    A slice ends with its length (three bytes), a byte that tells of errors, and four bytes that bring the checksum of
    the whole slice to zero.
    """
    end = len(packet)
    while end > 8:
        begin = end - 8 - int.from_bytes(packet[end - 8 : end - 5], "big")
        if begin < 0 or ieee(packet[begin:end]) != bytes(4):
            return False
        end = begin
    return end == 0
