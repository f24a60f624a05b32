"""Webhooks: programs that are told what happened to mail and people, and mail that is handed to programs."""
