"""Settings, command line, supervisor, embedded PostgreSQL, backup."""
