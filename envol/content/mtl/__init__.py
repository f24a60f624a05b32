"""Mailjet's template language, for programs and templates that bring it: read whole, evaluated without any engine that
could reach further than the values it is given."""
