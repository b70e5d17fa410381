"""How many different values there are, about: HyperLogLog (Flajolet 2007, estimated as by Ertl 2017).

The hash of a value picks one of 4,096 registers, which keeps the longest run of zeros seen in the rest of a
hash. So a sketch does not change by a value it has seen, and the sketches of parts merge into that of the
whole. The standard deviation of the estimate is 1.6 % (1.04 / √4096), less where there are few values.
"""

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

import zstandard

#: Bits of a hash that pick the register, and how many registers that makes.
PLACE_BITS = 12
REGISTERS = 1 << PLACE_BITS
_REST_BITS = 64 - PLACE_BITS
_NONE = bytes(REGISTERS)
#: Bits that the longest run takes.
RUN_BITS = (_REST_BITS + 1).bit_length()
#: Registers with a run, and these runs.
Places = dict[int, int]
#: What a sketch begins with that is stored as its places, of which it has so many at most.
_FEW, MOST_PLACES = b"\0", 400


def place(value: str) -> tuple[int, int]:
    """Return the register of a value, and what that holds at least once the value was seen."""
    hashed = int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest())
    rest = hashed & ((1 << _REST_BITS) - 1)
    return hashed >> _REST_BITS, _REST_BITS - rest.bit_length() + 1


def sketch(places: Iterable[tuple[int, int]], seen: bytes = _NONE) -> bytes:
    """Return the sketch of values by their places, and of those seen: registers, 0 where no value fell."""
    registers = bytearray(seen)
    for register, run in places:
        if run > registers[register]:  # noqa: PLR1730 - twice as fast as max
            registers[register] = run
    return bytes(registers)


def merged(sketches: Sequence[bytes]) -> bytes:
    """Return the sketch of all values that were seen by any of them."""
    return bytes(map(max, *sketches)) if len(sketches) > 1 else sketches[0]


def places(registers: bytes) -> Places:
    """Return the registers into which a value fell."""
    return {register: run for register, run in enumerate(registers) if run}


def packed_places(found: Mapping[int, int]) -> bytes:
    """Return a sketch as it is stored, by its places: three bytes for each where there are few."""
    if len(found) > MOST_PLACES:
        return packed(sketch(found.items()))
    return _FEW + struct.pack(f"<{len(found)}H", *found) + bytes(found.values())


def packed(registers: bytes) -> bytes:
    """Return a sketch as it is stored: 100 bytes for 20 values, 1,700 for thousands."""
    return zstandard.compress(registers, 1)


def unpacked(*contents: bytes) -> bytes:
    """Return the sketch that was packed, that of all values that several have seen."""
    full = [zstandard.decompress(each, REGISTERS) for each in contents if each[:1] != _FEW]
    few = [each for each in contents if each[:1] == _FEW]
    return sketch(chain.from_iterable(map(_few, few)), merged(full) if full else _NONE)


def _few(content: bytes) -> Iterable[tuple[int, int]]:
    count = len(content) // 3
    return zip(struct.unpack_from(f"<{count}H", content, 1), content[1 + 2 * count :], strict=True)


def estimate(registers: bytes) -> int:
    """Return about how many different values were seen."""
    return _estimate(registers.translate(None, b"\0"))


def estimate_packed(contents: Sequence[bytes]) -> int:
    """Return the estimate for some packed sketches together."""
    if any(each[:1] != _FEW for each in contents):
        return estimate(unpacked(*contents))
    found: Places = {}
    for register, run in chain.from_iterable(map(_few, contents)):
        if run > found.get(register, 0):
            found[register] = run
    return _estimate(found.values())


def _estimate(runs: Collection[int]) -> int:
    """Return the estimate by the runs of those registers that hold one (arXiv:1702.01284, algorithm 6)."""
    counts = Counter(runs)
    counts[0] = REGISTERS - len(runs)
    total = REGISTERS * _full(1 - counts[_REST_BITS + 1] / REGISTERS)
    for run in range(_REST_BITS, 0, -1):
        total = (total + counts[run]) / 2
    total += REGISTERS * _empty(counts[0] / REGISTERS)
    return 0 if math.isinf(total) else round(REGISTERS**2 / (2 * math.log(2)) / total)


def _empty(share: float) -> float:
    """Return what the registers add into which no value fell (sigma of the paper)."""
    if share == 1:
        return math.inf
    total, weight, before = share, 1.0, math.nan
    while total != before:
        share *= share
        before = total
        total += share * weight
        weight *= 2
    return total


def _full(share: float) -> float:
    """Return what the registers add whose run fills the hash (tau of the paper)."""
    if share in (0, 1):
        return 0.0
    total, weight, before = 1 - share, 1.0, math.nan
    while total != before:
        share = math.sqrt(share)
        before = total
        weight /= 2
        total -= (1 - share) ** 2 * weight
    return total / 3
