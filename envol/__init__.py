"""Envol: the email platform that a European organisation runs itself."""

__version__ = "0.1.0"
