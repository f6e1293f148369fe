"""The command line: ``shopguide COMMAND``. A user's mistake is one line on stderr and exit code 2."""

from __future__ import annotations

import errno
import logging
import sys
from contextlib import suppress

import click

from shopguide import __version__, interpreter, journal
from shopguide.cli.ask import recommend, similar, trending, why
from shopguide.cli.batch import batch
from shopguide.cli.config import config
from shopguide.cli.demo import demo
from shopguide.cli.doctor import doctor
from shopguide.cli.evaluate import evaluate
from shopguide.cli.imports import import_
from shopguide.cli.keypair import keypair
from shopguide.cli.report import report
from shopguide.cli.run import run
from shopguide.cli.simulate import simulate
from shopguide.cli.state import state
from shopguide.cli.storm import storm
from shopguide.cli.takeback import export, forget, retract
from shopguide.cli.token import token
from shopguide.cli.train import activate, train
from shopguide.cli.trial import trial
from shopguide.cli.watch import watch
from shopguide.errors import ShopguideError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `shopguide demo`, then `shopguide COMMAND --help`: each ends with examples.",
)
@click.version_option(__version__, prog_name="shopguide")
def cli() -> None:
    """A real-time shopping guide: every event changes the model at once, and the lists follow."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # why a disk takes no more
QUESTIONS = (watch, recommend, similar, trending, why)
MODEL = (batch, train, activate, trial, evaluate, report, simulate)
REST = (token, keypair, import_, forget, retract, export, state, storm, config, doctor)
for command in (demo, run, *MODEL, *QUESTIONS, *REST):
    cli.add_command(command)


def main() -> None:
    """The entry point."""
    interpreter.tune()
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        _told("interrupted")
        sys.exit(130)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except ShopguideError as e:
        _told(str(e))
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as e:
        if e.errno not in FULL:
            raise
        _told(f"cannot write{f' {e.filename}' if e.filename else ''}: {e.strerror}")
        with suppress(OSError):
            sys.stdout.close()  # what it still holds would be tried again at the exit
        sys.exit(2)


def _told(why: str) -> None:
    if journal.in_json():
        logging.getLogger(__name__).error("%s", why)
    else:
        click.echo(f"shopguide: {why}", err=True)
