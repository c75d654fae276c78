"""``lake keys``: which masking keys the lake has used, and taking another."""

import typer

from dagster_lake.cli.shared.errors import readable_errors

keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Look after the names of the masking keys that this lake has used.

    Keys themselves are never printed. docs/operations.md says how to change one.

    **Examples**

        lake keys list
        lake keys accept
    """,
)


@keys.command("list")
@readable_errors
def list_command() -> None:
    """Print the names of the keys that the lake has used, one a line, the newest last.

    **Examples**

        lake keys list
    """
    from dagster_lake.cli.shared.lake import settings, wanted_lake
    from dagster_lake.privacy.masking_keys import registered

    for name in registered(wanted_lake(settings())) or ():
        typer.echo(name)


@keys.command("accept")
@readable_errors
def accept_command() -> None:
    """Go on with the key that the settings give, or with a new one where the lake's own is lost.

    Values that are masked already stay as they are and never join with new ones: make silver again afterwards, as
    docs/operations.md says under Change the masking key.

    **Examples**

        lake keys accept
    """
    from dagster_lake.cli.shared.lake import settings, wanted_lake
    from dagster_lake.privacy.masking_key import configured_key
    from dagster_lake.privacy.masking_keys import accept

    chosen = settings()
    lake = wanted_lake(chosen)
    key = configured_key(chosen, lake, make=True)
    accept(lake, key.id)
    typer.echo(f"From now on values are masked by {key.id}; make silver again, as docs/operations.md says.")
