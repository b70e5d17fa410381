"""Files held open, never more than a limit: the one that was used least recently is closed first."""

from collections import OrderedDict

from pipeline.archive import open_content
from pipeline.content import PlainFile, RefusedFile
from pipeline.fingerprint import Content
from pipeline.generation import State
from pipeline.tail import Tail
from pipeline.watch import Finder


class OpenFiles:
    """Opens the content of tails; a file that was deleted stays open until it is released."""

    def __init__(self, finder: Finder, limit: int) -> None:
        self._finder = finder
        self._limit = limit
        self._tails: OrderedDict[tuple[int, int], Tail] = OrderedDict()
        self._roots = finder.roots

    def content(self, tail: Tail) -> Content | None:
        """Return the content of a tail; None while its path cannot be opened or leads to another file."""
        if tail.content is None:
            tail.content = self._open(tail)
        if tail.content is not None:
            self._tails[tail.identity] = tail
            self._tails.move_to_end(tail.identity)
            self._close_oldest()
        return tail.content

    def release(self, tail: Tail) -> None:
        """Close the content of a tail, if it is open."""
        self._tails.pop(tail.identity, None)
        if tail.content is not None:
            tail.content.close()
            tail.content = None

    def deleted(self) -> list[Tail]:
        """Return the open tails to which no path leads any more."""
        return [tail for tail in self._tails.values() if tail.deleted]

    def close(self) -> None:
        """Close every file."""
        for tail in list(self._tails.values()):
            self.release(tail)

    def _close_oldest(self) -> None:
        if len(self._tails) > self._limit:
            # Closing a deleted file would give its bytes up.
            self.release(next(tail for tail in self._tails.values() if not tail.deleted))

    def _open(self, tail: Tail) -> Content | None:
        # A known file that was moved out of the folders is still that file: its marks are compared.
        roots = () if tail.generation is not None else self._roots
        try:
            file = PlainFile(tail.path, roots, follow_links=self._finder.follow_links)
        except RefusedFile as error:
            self._finder.refuse(tail.path, str(error))
            tail.state = State.UNREADABLE
            return None
        except PermissionError:
            self._finder.refuse(tail.path, "permission to read it is missing; it is tried again")
            tail.state = State.UNREADABLE
            return None
        except OSError:
            return None  # it went away, or the system has no descriptor to give: the next sweep tells
        status = file.stat()
        if (status.st_dev, status.st_ino) != tail.identity:
            file.close()
            return None
        tail.state = None
        return open_content(tail.path, file)
