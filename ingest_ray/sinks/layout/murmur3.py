"""The hash of Iceberg's bucket transform: murmur3, 32 bits, of the x86 variant, with seed 0.

https://iceberg.apache.org/spec/#appendix-b-32-bit-hash-requirements
"""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)


def hash_bytes(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The hashes of values that lie one after the other in `data`; value i is `data[offsets[i]:offsets[i + 1]]`."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    padded = np.concatenate([data, np.zeros(4, np.uint8)])
    state = np.zeros(len(lengths), np.uint32)
    words = lengths // 4
    with np.errstate(over="ignore"):
        for number in range(int(words.max(initial=0))):
            rows = np.flatnonzero(words > number)
            state[rows] = _stir(state[rows], _word(padded, starts[rows] + 4 * number, 4))
        for rest in (1, 2, 3):
            rows = np.flatnonzero(lengths % 4 == rest)
            state[rows] ^= _mixed(_word(padded, starts[rows] + 4 * words[rows], rest))
        state ^= lengths.astype(np.uint32)
        state ^= state >> np.uint32(16)
        state *= np.uint32(0x85EBCA6B)
        state ^= state >> np.uint32(13)
        state *= np.uint32(0xC2B2AE35)
        state ^= state >> np.uint32(16)
    return state.view(np.int32)


def hash_longs(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Of whole numbers of any width, dates and times, each as eight bytes, the lowest first."""
    data = np.ascontiguousarray(values.astype("<i8")).view(np.uint8)
    return hash_bytes(data, np.arange(len(values) + 1, dtype=np.int64) * 8)


def _word(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], size: int) -> Words:
    word = np.zeros(len(at), np.uint32)
    for byte in range(size):
        word |= data[at + byte].astype(np.uint32) << np.uint32(8 * byte)
    return word


def _stir(state: Words, word: Words) -> Words:
    state = state ^ _mixed(word)
    return _rotated(state, 13) * np.uint32(5) + np.uint32(0xE6546B64)


def _mixed(word: Words) -> Words:
    return _rotated(word * _C1, 15) * _C2


def _rotated(word: Words, bits: int) -> Words:
    return (word << np.uint32(bits)) | (word >> np.uint32(32 - bits))
