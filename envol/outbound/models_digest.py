"""Who takes one message a day of a mailing list, and what waits for it."""

from __future__ import annotations

from django.db import models

from envol.outbound.models import MailingList, Post


class DailyReader(models.Model):
    """Somebody of a list who takes one message a day instead of each."""

    mailing_list = models.ForeignKey(MailingList, on_delete=models.CASCADE, related_name="daily_readers")
    contact_id = models.BigIntegerField()

    class Meta:
        db_table = "outbound_daily_reader"
        constraints = [models.UniqueConstraint(fields=["mailing_list", "contact_id"], name="daily_reader_once")]


class DigestItem(models.Model):
    """One post that goes to one person with her next message of the day. Gone when it went."""

    mailing_list = models.ForeignKey(MailingList, on_delete=models.CASCADE, related_name="digest_items")
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="digest_items")
    contact_id = models.BigIntegerField()

    class Meta:
        db_table = "outbound_digest_item"
        constraints = [models.UniqueConstraint(fields=["post", "contact_id"], name="digest_item_once")]
