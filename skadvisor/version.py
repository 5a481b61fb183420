"""The version of this package, told apart from the package so that every layer can name it."""

__version__ = "0.1.0"
