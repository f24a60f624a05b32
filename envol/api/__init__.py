"""The HTTP API in Mailjet's dialect, the one place that uses its words: programs written for it change the address."""
