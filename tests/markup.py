"""What a parser finds in HTML: elements, attributes, texts."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects elements, attributes and the texts between."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and the names of its attributes."""
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def read(text: bytes) -> Reader:
    """Return what a parser finds in HTML."""
    reader = Reader()
    reader.feed(text.decode())
    return reader
