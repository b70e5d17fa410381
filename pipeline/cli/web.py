"""`web`: the page over database and broker, for a browser."""

import click

from pipeline.cli import options, output, reader
from pipeline.cli.interruption import Interruption
from pipeline.cli.main import OK
from pipeline.web import guard, server


@click.command("web")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: a free one.")
@click.option("--flower", metavar="URL", default="", help="Where Flower is: the page links to it.")
@options.common
def command(host: str, port: int, flower: str, as_json: bool) -> int:
    """Show the flow, the traffic, what was noticed and what was set apart on a page that only reads.

    Until SIGTERM or Ctrl-C. It listens on loopback; on other addresses it asks for the user and password of
    SLUICE_WEB_AUTH. It shows what there is while the broker or the database is away.
    """
    settings = options.settings()
    auth = settings.web_auth.get_secret_value()
    guard.require_password(host, auth)
    guard.require_link(flower)
    output.log_to_stderr(settings.log_level, settings)
    listening = server.bound(host, port)
    port = listening.getsockname()[1]
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if as_json:
        output.emit_json({"url": place})
    else:
        output.say(f"the page is at {place}; Ctrl-C ends it")
    with reader.parts(settings, "sluice web") as parts:
        server.serve(listening, parts, Interruption("stopping").asked, auth=auth, flower=flower)
    return OK
