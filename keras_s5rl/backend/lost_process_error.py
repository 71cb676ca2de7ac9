"""`LostProcessError`."""


class LostProcessError(RuntimeError):
    """A process of several that train together has ended or cannot be reached any more."""
