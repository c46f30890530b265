"""`peerage`: the commands. Nothing heavy is imported before a command runs, so --help and --version answer at once.

Exit codes: 0 done, 1 the work found fault, 2 wrong usage or input, 3 a part was unreachable, 130 interrupted.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from peerage.cli import advise as cli_advise
from peerage.cli import audit as cli_audit
from peerage.cli import bonus as cli_bonus
from peerage.cli import chain as cli_chain
from peerage.cli import compare as cli_compare
from peerage.cli import contrast as cli_contrast
from peerage.cli import dispute as cli_dispute
from peerage.cli import estimate as cli_estimate
from peerage.cli import invite as cli_invite
from peerage.cli import keys as cli_keys
from peerage.cli import market as cli_market
from peerage.cli import node as cli_node
from peerage.cli import provenance as cli_provenance
from peerage.cli import report as cli_report
from peerage.cli import run as cli_run
from peerage.cli import search as cli_search
from peerage.cli import stake as cli_stake
from peerage.cli import verify as cli_verify
from peerage.cli import watch as cli_watch

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="peerage",
    help="Serverless federated learning with a public register of who contributed what.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"peerage {version('peerage')}")
        raise typer.Exit


@app.callback()
def _peerage(
    *,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


cli_run.add_to(app)
cli_search.add_to(app)
cli_node.add_to(app)
cli_chain.add_to(app)
cli_audit.add_to(app)
cli_dispute.add_to(app)
cli_bonus.add_to(app)
cli_provenance.add_to(app)
cli_verify.add_to(app)
cli_report.add_to(app)
cli_compare.add_to(app)
cli_contrast.add_to(app)
cli_advise.add_to(app)
cli_estimate.add_to(app)
cli_keys.add_to(app)
cli_stake.add_to(app)
cli_invite.add_to(app)
cli_market.add_to(app)
cli_watch.add_to(app)


def main() -> None:
    """The console script: an error that we can name is one sentence on stderr and its exit code."""
    try:
        app(prog_name="peerage")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        from peerage_crypto.errors import PeerageError  # noqa: PLC0415 - only when something went wrong

        if not isinstance(error, PeerageError):
            raise
        print(f"peerage: {error}", file=sys.stderr)  # noqa: T201 - the answer to a person
        sys.exit(error.exit_code)
