"""Pages for the people who get mail: unsubscribe, preferences, a message in the browser. No cookie, no script."""
