"""Reports: what a campaign did, told by people and by events."""
