"""`effattn presets`: the models that are known by name."""

import typer

from effattn_cli.commands import options as o


def presets(
    json: o.Json = False,
) -> None:
    """List the models that --like, --model and `effattn model` know by name."""
    from effattn_cli.models.presets import configs, model
    from effattn_cli.report.console import stdout
    from effattn_cli.report.model import preset_list

    models = [model(name) for name in configs()]
    if json:
        typer.echo(preset_list.as_json(models))
        return
    stdout().print(preset_list.table(models))
