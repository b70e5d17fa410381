"""The table of followed files: by inode, by path, which are ready to read, which are not recognised yet."""

from pipeline.tail import Tail

Identity = tuple[int, int]


class Followed:
    """Every tail, by device and inode; what is said of a tail here is forgotten with it."""

    def __init__(self) -> None:
        self.tails: dict[Identity, Tail] = {}
        self.ready: dict[Identity, Tail] = {}
        self.unresolved: dict[Identity, Tail] = {}
        self._by_path: dict[str, Tail] = {}

    def __contains__(self, path: str) -> bool:
        """Tell whether a file of this path is followed."""
        return path in self._by_path

    def add(self, tail: Tail) -> Tail:
        """Follow a file whose source is not known yet."""
        self.tails[tail.identity] = tail
        self._by_path[tail.path] = tail
        self.unresolved[tail.identity] = tail
        return tail

    def drop(self, tail: Tail) -> None:
        """Follow a file no longer."""
        for table in (self.tails, self.ready, self.unresolved):
            if table.get(tail.identity) is tail:
                del table[tail.identity]
        if self._by_path.get(tail.path) is tail:
            del self._by_path[tail.path]

    def rename(self, tail: Tail, path: str) -> None:
        """Take in that a file has another path now."""
        if self._by_path.get(tail.path) is tail:
            del self._by_path[tail.path]
        tail.path = path
        self._by_path[path] = tail

    def wake(self, tail: Tail) -> None:
        """Put a tail among those that are ready, if there is something to read in it."""
        if tail.resolved and tail.unread:
            self.ready[tail.identity] = tail

    def rest(self, tail: Tail) -> None:
        """Take a tail out of those that are ready."""
        self.ready.pop(tail.identity, None)

    def order(self, *, newest_first: bool) -> None:
        """Put those that are ready in the order in which they were last written."""
        tails = sorted(self.ready.values(), key=lambda tail: tail.mtime_ns, reverse=newest_first)
        self.ready = {tail.identity: tail for tail in tails}
