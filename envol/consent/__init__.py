"""Purposes, the ledger of permissions, suppression, and the three gates."""
