"""Campaigns: draft, checks, scheduled, sending, sent."""
