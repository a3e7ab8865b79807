"""The tools run inside this process, on a micro network."""

from tests.tools.conftest import run_tool, trained_run

__all__ = ['run_tool', 'trained_run']
