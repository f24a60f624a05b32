"""Our own API, in our own words: JSON under /api/v1, described once in `routes`."""
