"""What happened: append-only, partitioned by month, with derived counters."""
