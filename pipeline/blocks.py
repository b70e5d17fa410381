"""Cut the next block of whole lines out of a file, from an offset on, without a step per line."""

from dataclasses import dataclass

from pipeline.fingerprint import Content

#: So many NULs at the start of a line are a hole that a writer left, not text.
NUL_RUN = bytes(64)
#: Bytes searched at once for the end of a long line or of a run of NULs.
SEARCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Most lines and most bytes of a block, and most bytes of a line that is kept whole."""

    line_count: int
    byte_size: int
    line_bytes: int


def nth_newline(block: bytes, count: int, total: int) -> int:
    """Return the position after the `count`-th newline of a block that has `total` of them.

    Guesses from the average line and corrects the guess by counting the difference: a few passes over
    ever shorter pieces instead of one step per line.
    """
    low, low_count, high, high_count = 0, 0, len(block), total
    while high_count - low_count > 1 and low_count != count:
        share = (count - low_count) / (high_count - low_count)
        middle = min(max(low + int((high - low) * share), low + 1), high - 1)
        middle_count = low_count + block.count(b"\n", low, middle)
        if middle_count >= count:
            high, high_count = middle, middle_count
        else:
            low, low_count = middle, middle_count
        if high_count == count:
            return block.rfind(b"\n", low, high) + 1
        if count - low_count <= 16:  # noqa: PLR2004 - fewer steps than another guess would cost
            break
    for _ in range(count - low_count):
        low = block.find(b"\n", low) + 1
    return low


class Cutter:
    """Cuts blocks out of one content; between calls it remembers only positions, never bytes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._window_bytes = limits.byte_size
        self._searched = 0
        self._nul_searched = 0
        self._nul_start = 0
        self._nul_end = 0

    def next(self, content: Content, offset: int, *, flush: bool = False) -> bytes:
        r"""Return the next block from `offset`; empty when there is none yet.

        A block ends after a newline. The exceptions: a line over the limit comes in blocks of just the
        limit; a run of NULs comes in blocks of its own once something follows it; with `flush` an
        unfinished last line comes as it is.
        """
        if offset < self._nul_end:
            return bytes(min(self._nul_end - offset, self._limits.byte_size))
        if offset < self._searched and not flush and not self._newline_came(content, offset):
            return b""
        window = content.read(self._window_bytes, offset)
        if window.startswith(NUL_RUN):
            return self._nul_block(content, offset, flush=flush)
        stop = self._stop(window)
        if stop:
            return window if stop == len(window) else window[:stop]
        return self._long_line(content, offset, window, flush=flush)

    def nul_run_at(self, offset: int) -> int:
        """Return how many bytes the run of NULs that starts at `offset` has; 0 if none does."""
        return max(0, self._nul_end - offset) if offset == self._nul_start else 0

    def _stop(self, window: bytes) -> int:
        """Return where the block ends in the window; 0 if not one line of it is complete."""
        stop = window.rfind(b"\n") + 1
        if b"\0" in window:
            hole = window.find(b"\n" + NUL_RUN, 0, stop)
            stop = hole + 1 if hole >= 0 else stop
        if stop > self._limits.line_bytes:
            stop = self._before_long_line(window, stop)
        count = window.count(b"\n", 0, stop)
        if count > self._limits.line_count:
            stop = nth_newline(window[:stop], self._limits.line_count, count)
            # Short lines: next time no more is read than a block can take.
            self._window_bytes = min(self._limits.byte_size, stop + stop // 4)
        elif count:
            self._window_bytes = self._limits.byte_size
        return stop

    def _before_long_line(self, window: bytes, stop: int) -> int:
        limit, position = self._limits.line_bytes, 0
        while position + limit < stop:
            after = window.rfind(b"\n", position, position + limit) + 1
            if not after:
                return position
            position = after
        return stop

    def _long_line(self, content: Content, offset: int, window: bytes, *, flush: bool) -> bytes:
        limit = self._limits.line_bytes
        if len(window) < limit:
            window = content.read(limit, offset)
        stop = window.find(b"\n", 0, limit) + 1
        if stop or flush or len(window) >= limit:
            return window[: stop or limit]
        self._searched = offset + len(window)
        return b""

    def _newline_came(self, content: Content, offset: int) -> bool:
        fresh = content.read(SEARCH_BYTES, self._searched)
        if b"\n" in fresh:
            return True
        self._searched += len(fresh)
        return self._searched - offset >= self._limits.line_bytes

    def _nul_block(self, content: Content, offset: int, *, flush: bool) -> bytes:
        end = max(self._nul_searched, offset)
        window = b"\0"
        while window == bytes(len(window)) and window:
            end = content.next_written(end)
            window = content.read(SEARCH_BYTES, end)
            # Comparing costs a tenth of stripping.
            end += len(window) if window == bytes(len(window)) else len(window) - len(window.lstrip(b"\0"))
        self._nul_searched, self._nul_start = end, offset
        # NULs at the very end may still be written over: a file that its writer allocated in advance.
        self._nul_end = end if window or flush else 0
        return bytes(min(self._nul_end - offset, self._limits.byte_size)) if self._nul_end else b""
