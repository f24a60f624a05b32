"""Templates, personalisation, signed links, and composing."""
