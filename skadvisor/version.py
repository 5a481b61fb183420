"""The versions of this package and of its JSON, told apart from the package so that every layer can name them."""

__version__ = "0.2.0"
#: Of the JSON result (`skadvisor/schema.json`).
SCHEMA_VERSION = "1.1"
