"""Understanding returned mail: who was not reached and why, and what only looks like a bounce."""

from envol.wire.bounce.explain import Explanation, Recipient, explain

__all__ = ["Explanation", "Recipient", "explain"]
