"""Log formats in the configuration files of nginx and Apache, and the logs that they are for."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS
from pipeline.formats.apache import from_apache
from pipeline.formats.base import Format
from pipeline.formats.nginx import from_nginx

NGINX, APACHE = "nginx", "apache"
COMPILE: dict[str, Callable[[str, str], Format]] = {NGINX: from_nginx, APACHE: from_apache}
#: Directives that only Apache has.
OF_APACHE = re.compile(
    r"^[ \t]*(?:LogFormat|CustomLog|TransferLog|GlobalLog|<VirtualHost)\b", re.IGNORECASE | re.MULTILINE
)
#: A comment, a text in quotes, the end of a directive, or a word; `${name}` is part of a word.
NGINX_TOKEN = re.compile(
    r"""#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([;{}])|((?:\$\{\w*\}|[^\s;{}"'])(?:\$\{\w*\}|[^\s;{}])*)""",
    re.DOTALL,
)
NGINX_ESCAPE = re.compile(r"\\([\"'\\tnr])")
NGINX_ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}
APACHE_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
#: What a name of a format may hold.
UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(slots=True)
class FoundFormat:
    """A format that a configuration defines.

    Attributes:
        name: its name there.
        server: "nginx" or "apache".
        string: as from_nginx or from_apache take it.
        is_json: its lines are JSON; then no pattern is made, the format `json` reads them.
        logs: paths of the logs that use it.
    """

    name: str
    server: str
    string: str
    is_json: bool = False
    logs: list[str] = field(default_factory=list)

    def compile(self) -> Format:
        """Return the format.

        Raises:
            ConfigurationError: the string does not make one; says why.
        """
        return COMPILE[self.server](self.name, self.string)

    def file(self) -> str:
        """Return the text of a format file, in TOML.

        Raises:
            ConfigurationError: the string does not make a format.
        """
        example = self.compile().example.decode()
        used = f" for {', '.join(self.logs)}" if self.logs else ""
        description = f"access log of {self.server}, its {self.name}{used}"
        # A built-in format of the same name stays what it is.
        own = f"{self.server}_{self.name}" if self.name in FORMATS else self.name
        values = (
            *(("name", own), ("description", description), ("example", example)),
            (self.server, self.string),
        )
        name, *rest = (f"{key} = {_toml(value)}" for key, value in values)
        return "\n".join((name, "version = 1", *rest)) + "\n"


@dataclass(slots=True)
class ServerConfig:
    """What a configuration file says of logs: its formats by name, and the files that it includes."""

    server: str
    formats: dict[str, FoundFormat] = field(default_factory=dict)
    includes: list[str] = field(default_factory=list)
    #: Logs by the name of their format, in the order of the file.
    logs: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, string: str, *, is_json: bool) -> None:
        """Add a format."""
        self.formats[name] = FoundFormat(UNFIT.sub("_", name), self.server, string, is_json)

    def assign(self) -> None:
        """Give each format its logs; those of a format that is not defined here stay in `logs` alone."""
        for name, path in self.logs:
            if name in self.formats and path not in self.formats[name].logs:
                self.formats[name].logs.append(path)


def _toml(value: str) -> str:
    if "'" not in value and value.isprintable():
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    shown = (each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped)
    return f'"{"".join(shown)}"'


def read_config(text: str) -> ServerConfig:
    """Return the formats of a configuration file of nginx or Apache, told by its directives.

    Raises:
        ConfigurationError: neither a format nor a log is in it.
    """
    config = _apache(text) if OF_APACHE.search(text) else _nginx(text)
    if not config.formats and not config.logs:
        included = f"; it includes {', '.join(config.includes)}: give one of those" if config.includes else ""
        raise ConfigurationError(
            "no log_format, access_log, LogFormat or CustomLog is in it: is it nginx.conf or httpd.conf?"
            + included
        )
    config.assign()
    return config


def _nginx(text: str) -> ServerConfig:
    config = ServerConfig(NGINX)
    for words in _nginx_directives(text):
        match words:
            case ["log_format", name, *strings]:
                options = [word for word in strings[:1] if word.startswith("escape=")]
                string = "".join(strings[len(options) :])
                config.add(name, string, is_json=options == ["escape=json"] or _is_json(string))
            case ["access_log", path, *rest] if path != "off":
                named = [word for word in rest[:1] if "=" not in word and word not in ("gzip", "buffer")]
                config.logs.append((named[0] if named else "combined", path))
            case ["include", path]:
                config.includes.append(path)
    return config


def _nginx_directives(text: str) -> Iterator[list[str]]:
    words: list[str] = []
    for match in NGINX_TOKEN.finditer(text):
        double, single, end, word = match.groups()
        if end:
            yield words
            words = []
        elif word is not None:
            words.append(word)
        elif (quoted := double if double is not None else single) is not None:
            words.append(NGINX_ESCAPE.sub(lambda each: NGINX_ESCAPED.get(each[1], each[1]), quoted))


def _apache(text: str) -> ServerConfig:
    config = ServerConfig(APACHE)
    for line in re.sub(r"\\\r?\n", "", text).splitlines():
        words = [bare or quoted for quoted, bare in APACHE_TOKEN.findall(line.strip())]
        match [word.lower() for word in words[:1]], words[1:]:
            case ["logformat"], [string, *names]:
                config.add(names[0] if names else "transfer", string, is_json=_is_json(string))
            case ["customlog" | "globallog"], [path, form, *_]:
                config.logs.append((_inline(config, path, form), path))
            case ["transferlog"], [path, *_]:
                config.logs.append(("transfer" if "transfer" in config.formats else "common", path))
            case ["include" | "includeoptional"], [path, *_]:
                config.includes.append(path)
    return config


def _inline(config: ServerConfig, path: str, form: str) -> str:
    """Return the name of a log's format; one written in the directive goes by the log's name."""
    if "%" not in form:
        return form
    # A piped log is a command; the file is its last word with a slash.
    files = [word for word in path.split() if "/" in word]
    name = PurePath((files or [path])[-1]).stem or "custom"
    config.add(name, form, is_json=_is_json(form))
    return name


def _is_json(string: str) -> bool:
    return re.match(r'\s*\{\s*\\?"[^"]*":', string) is not None
