"""The hash functions by which Keras puts strings into buckets, bit for bit.

    fingerprint64   FarmHash's Fingerprint64 (farmhashna::Hash64): `tf.strings.to_hash_bucket_fast`,
                    in Hashing, and in lookups with several indices for unknown values
    siphash         SipHash-2-4: `tf.strings.to_hash_bucket_strong`, where these layers have a salt

No library that is kept well has the first for Python. Each runs once for a different value.
"""

from __future__ import annotations

import struct

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F

Pair = tuple[int, int]


def fingerprint64(data: bytes) -> int:
    """FarmHash's 64-bit fingerprint, which is the same in every release and on every machine."""
    size = len(data)
    if size <= 16:
        return _up_to_16(data)
    if size <= 32:
        return _up_to_32(data)
    if size <= 64:
        return _up_to_64(data)
    return _longer(data)


def _word(data: bytes, at: int) -> int:
    """Eight bytes as a number, counted from the end where `at` is negative."""
    at += len(data) if at < 0 else 0
    return int.from_bytes(data[at : at + 8], "little")


def _half(data: bytes, at: int) -> int:
    at += len(data) if at < 0 else 0
    return int.from_bytes(data[at : at + 4], "little")


def _rotated(value: int, by: int) -> int:
    """The low 64 bits, turned right."""
    value &= _MASK
    return ((value >> by) | (value << (64 - by))) & _MASK


def _mixed(value: int) -> int:
    value &= _MASK
    return value ^ (value >> 47)


def _joined(u: int, v: int, factor: int) -> int:
    a = _mixed((u ^ v) * factor)
    return (_mixed((v ^ a) * factor) * factor) & _MASK


def _up_to_16(data: bytes) -> int:
    size = len(data)
    factor = _K2 + size * 2
    if size >= 8:
        a, b = _word(data, 0) + _K2, _word(data, -8)
        c = _rotated(b, 37) * factor + a
        d = (_rotated(a, 25) + b) * factor
        return _joined(c & _MASK, d & _MASK, factor)
    if size >= 4:
        return _joined(size + (_half(data, 0) << 3), _half(data, -4), factor)
    if size:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[-1] << 2)
        return (_mixed(y * _K2 ^ z * _K0) * _K2) & _MASK
    return _K2


def _up_to_32(data: bytes) -> int:
    factor = _K2 + len(data) * 2
    a, b = _word(data, 0) * _K1, _word(data, 8)
    c, d = _word(data, -8) * factor, _word(data, -16) * _K2
    return _joined(
        (_rotated(a + b, 43) + _rotated(c, 30) + d) & _MASK,
        (a + _rotated(b + _K2, 18) + c) & _MASK,
        factor,
    )


def _up_to_64(data: bytes) -> int:
    factor = _K2 + len(data) * 2
    a, b = _word(data, 0) * _K2, _word(data, 8)
    c, d = _word(data, -8) * factor, _word(data, -16) * _K2
    y = (_rotated(a + b, 43) + _rotated(c, 30) + d) & _MASK
    z = _joined(y, (a + _rotated(b + _K2, 18) + c) & _MASK, factor)
    e, f = _word(data, 16) * factor, _word(data, 24)
    g, h = (y + _word(data, -32)) * factor, (z + _word(data, -24)) * factor
    return _joined(
        (_rotated(e + f, 43) + _rotated(g, 30) + h) & _MASK,
        (e + _rotated(f + a, 18) + g) & _MASK,
        factor,
    )


def _weak(data: bytes, at: int, a: int, b: int) -> Pair:
    """Two numbers of 32 bytes and two numbers."""
    w, x, y, z = (_word(data, at + 8 * i) for i in range(4))
    a = (a + w) & _MASK
    b = _rotated(b + a + z, 21)
    before = a
    a = (a + x + y) & _MASK
    b = (b + _rotated(a, 44) + before) & _MASK
    return (a + z) & _MASK, b


def _longer(data: bytes) -> int:
    """Of more than 64 bytes: blocks of 64, and the last 64 once more."""
    seed = 81
    x, y = seed, (seed * _K1 + 113) & _MASK
    z = (_mixed(y * _K2 + 113) * _K2) & _MASK
    v: Pair = (0, 0)
    w: Pair = (0, 0)
    x = (x * _K2 + _word(data, 0)) & _MASK
    end = (len(data) - 1) // 64 * 64
    for at in range(0, end, 64):
        x, y, z, v, w = _block(data, at, x, y, z, v, w)
    factor = (_K1 + ((z & 0xFF) << 1)) & _MASK
    last = len(data) - 64
    w = ((w[0] + ((len(data) - 1) & 63)) & _MASK, w[1])
    v = ((v[0] + w[0]) & _MASK, v[1])
    w = ((w[0] + v[0]) & _MASK, w[1])
    x = _rotated(x + y + v[0] + _word(data, last + 8), 37) * factor & _MASK
    y = _rotated(y + v[1] + _word(data, last + 48), 42) * factor & _MASK
    x ^= w[1] * 9 & _MASK
    y = (y + v[0] * 9 + _word(data, last + 40)) & _MASK
    z = _rotated(z + w[0], 33) * factor & _MASK
    v = _weak(data, last, v[1] * factor & _MASK, (x + w[0]) & _MASK)
    w = _weak(data, last + 32, (z + w[1]) & _MASK, (y + _word(data, last + 16)) & _MASK)
    z, x = x, z
    return _joined(
        (_joined(v[0], w[0], factor) + _mixed(y) * _K0 + z) & _MASK,
        (_joined(v[1], w[1], factor) + x) & _MASK,
        factor,
    )


def _block(
    data: bytes, at: int, x: int, y: int, z: int, v: Pair, w: Pair
) -> tuple[int, int, int, Pair, Pair]:
    """The state after 64 more bytes."""
    x = _rotated(x + y + v[0] + _word(data, at + 8), 37) * _K1 & _MASK
    y = _rotated(y + v[1] + _word(data, at + 48), 42) * _K1 & _MASK
    x ^= w[1]
    y = (y + v[0] + _word(data, at + 40)) & _MASK
    z = _rotated(z + w[0], 33) * _K1 & _MASK
    v = _weak(data, at, v[1] * _K1 & _MASK, (x + w[0]) & _MASK)
    w = _weak(data, at + 32, (z + w[1]) & _MASK, (y + _word(data, at + 16)) & _MASK)
    return z, y, x, v, w


def siphash(data: bytes, key: Pair) -> int:
    """SipHash-2-4 (Aumasson and Bernstein 2012) of 64 bits, by a key of two numbers."""
    first, second = (part & _MASK for part in key)
    state = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    whole = len(data) // 8 * 8
    tail = data[whole:].ljust(7, b"\0") + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", data[:whole] + tail):
        state[3] ^= word
        _round(state)
        _round(state)
        state[0] ^= word
    state[2] ^= 0xFF
    for _ in range(4):
        _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(s: list[int]) -> None:
    s[0] = (s[0] + s[1]) & _MASK
    s[2] = (s[2] + s[3]) & _MASK
    s[1] = _rotated(s[1], 51) ^ s[0]
    s[3] = _rotated(s[3], 48) ^ s[2]
    s[0] = (_rotated(s[0], 32) + s[3]) & _MASK
    s[2] = (s[2] + s[1]) & _MASK
    s[3] = _rotated(s[3], 43) ^ s[0]
    s[1] = _rotated(s[1], 47) ^ s[2]
    s[2] = _rotated(s[2], 32)
