"""What all errors that speak to a person have in common."""


class ExplainedError(Exception):
    """An error whose message says what was expected, what was found, and what to do: tools print it and nothing more.

    A mixin: ``class SampleError(ExplainedError, RuntimeError)``.
    """


class FileError(ExplainedError, ValueError):
    """A file that does not hold what it should; the message names it."""
