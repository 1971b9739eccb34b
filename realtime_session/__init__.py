"""End idle Django sessions on time, and tell people before it happens, by push."""

__version__ = "0.1.0"
