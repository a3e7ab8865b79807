"""What the subcommands share: the command line, configs, logs, runs, reports of a search."""
