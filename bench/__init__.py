"""Measurements as ratios: each bench measures ours and a reference in one run (``python -m bench``)."""
