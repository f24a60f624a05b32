"""Formats of days by language, where Django's own are not ours (see `django.utils.formats`)."""
