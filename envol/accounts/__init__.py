"""Workspaces, members, roles, API keys, jobs and the audit journal."""
