"""Moving in from another service: what is found there, and how it comes here (`read`, `mailjet`, `dumps`, `move`)."""
