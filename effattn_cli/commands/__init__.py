"""One file a command: options in, records out, exit code. Imports wait until a command runs."""
