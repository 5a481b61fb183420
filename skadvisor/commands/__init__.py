"""The subcommands of the command line, one file each; `cli` loads them when they are called."""
