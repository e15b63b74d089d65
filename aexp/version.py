"""The installed version of aexp."""

__version__ = "0.1.0"
