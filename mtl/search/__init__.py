"""Widths under a budget: what a configuration costs, how well it does, and which ones are worth having."""
