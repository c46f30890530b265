"""`peerage audit`: replay a run and say what does not hold."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from peerage.audit.door import Verdict

Archives = Annotated[
    list[Path] | None,
    typer.Option("--archive", help="Another peer's chain.jsonl: were all shown one chain? May be repeated."),
]


def add_to(app: typer.Typer) -> None:
    app.command("audit")(audit)


def audit(
    run_dir: Annotated[Path | None, typer.Argument(metavar="RUN_DIR")] = None,
    *,
    deployment: Annotated[Path | None, typer.Option(help="Without a run directory: deployment.json,")] = None,
    contract: Annotated[str, typer.Option(metavar="ADDRESS", help="or the round ledger's address alone;")] = "",
    rpc: Annotated[str, typer.Option(help="a node that has the chain;")] = "",
    store: Annotated[list[str] | None, typer.Option(help="and the artefacts' URL (or several).")] = None,
    settings: Annotated[Path | None, typer.Option(help="federation.toml, if the store has no settings.")] = None,
    archive: Archives = None,
    cache: Annotated[Path | None, typer.Option(help="Where judged rounds are kept, to go on there.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Judge every round, keep nothing.")] = False,
    explain: Annotated[str | None, typer.Option(metavar="PEER", help="How this peer's pay came about.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Recompute everything from artefacts and chain.

    Exit code 0: clean, 1: findings, 2: could not be audited, 3: node or store was unreachable.
    """
    from peerage.audit import door
    from peerage.audit.cache import beside
    from peerage.audit.progress import Progress
    from peerage_crypto.errors import InputError

    afar = {"deployment": deployment, "contract": contract, "rpc": rpc, "store": store}
    archives = tuple(archive or ())
    if archives and run_dir is None and not any(afar.values()):
        if explain is not None:
            raise InputError("--explain needs the rounds: give RUN_DIR, or --rpc and --store, beside --archive")
        _say(door.compare(archives), json=json)  # ends here
    if cache is not None and no_cache:
        raise InputError("--cache and --no-cache contradict each other: give one of them")
    progress = Progress()
    manner: dict[str, Any] = {"archives": archives, "cache": cache, "heard": progress}
    try:
        if run_dir is not None and not any(afar.values()):
            if not (run_dir / "federation.toml").is_file():
                raise InputError(f"{run_dir} is no run directory: it has no federation.toml")
            manner["cache"] = cache or (None if no_cache else beside(run_dir.resolve()))
            report = door.audit(run_dir.absolute(), **manner)
        elif run_dir is None and rpc and store and bool(deployment) != bool(contract):
            address = {"rpc": rpc, "stores": tuple(store), "deployment": deployment, "settings": settings}
            report = door.audit_remote(address | {"contract": _address(contract)}, **manner)
        else:
            raise InputError(
                "audit what? Give RUN_DIR; or --rpc and --store with one of --deployment and --contract; "
                "or --archive twice"
            )
    except KeyboardInterrupt:
        progress.end()
        kept = manner["cache"]
        where = f"what was judged is kept in {kept}" if kept else "nothing was kept (give --cache DIR)"
        typer.echo(f"stopped; {where}", err=True)
        raise
    finally:
        progress.end()
    if json:
        typer.echo(report.to_json(explain or "").decode())
    else:
        typer.echo(report.in_words())
        if explain:
            typer.echo(f"\n{report.explain(explain)}")
    raise typer.Exit(1 if report.findings else 0)


def _say(verdict: "Verdict", *, json: bool) -> None:
    typer.echo(verdict.to_json().decode() if json else verdict.in_words())
    raise typer.Exit(1 if verdict.findings else 0)


def _address(text: str) -> bytes | None:
    from eth_utils.address import is_address

    from peerage_crypto.errors import InputError

    if not text:
        return None
    if not is_address(text):
        raise InputError(f"--contract {text}: that is no address (0x and 40 hex digits, checksum right)")
    return bytes.fromhex(text.removeprefix("0x"))
