"""The send ledger and queue: accept, lease, settle; domains and routes."""
