"""`python -m effattn_cli` is `effattn`."""

from effattn_cli.cli import main

main()
