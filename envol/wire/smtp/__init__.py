"""SMTP (RFC 5321) as two machines without input or output, after the manner of h11.

`client.Client` delivers, `server.Server` receives. Their owner moves the bytes,
keeps the time and performs TLS; the machines decide what is said.
`replies` tells what an answer means for the queue.
"""
