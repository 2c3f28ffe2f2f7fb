"""`effattn carry-out`, which `profile --on` runs on other machines; hidden."""


def carry_out() -> None:
    """Carry out the sweep on stdin; for `profile --on`."""
    from effattn_cli.remote import streams

    streams.serve()
