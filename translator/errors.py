"""The one exception for what a user can cause; the command line prints it as a single line and exits with code 2."""


class TranslatorError(Exception):
    """A mistake in a file, an option or a value: the message names it and says what to do."""
