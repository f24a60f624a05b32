"""Jobs of the queue for the worker, by the clock: each runs once, however many workers there are."""

from __future__ import annotations

from procrastinate.contrib.django import app

# Every process reads this file at start; what the jobs need is imported when they run.


@app.periodic(cron="7 * * * *")
@app.task(queue="house", name="outbound.look", queueing_lock="outbound.look")
def look(timestamp: int) -> None:
    """Every hour: are the books of what runs, or ended lately, right?"""
    from envol.outbound import books, shaping

    books.look()
    shaping.tidy()


@app.periodic(cron="37 2 * * *")
@app.task(queue="house", name="outbound.look_at_all", queueing_lock="outbound.look_at_all")
def look_at_all(timestamp: int) -> None:
    """Every night: everything."""
    from datetime import timedelta

    from envol.outbound import books, states

    books.look(whole=True)
    states.fold_tallies(within=timedelta(days=400))


@app.periodic(cron="21 * * * *")
@app.task(queue="house", name="outbound.rotate", queueing_lock="outbound.rotate")
def rotate(timestamp: int) -> None:
    """Every hour: DKIM keys that are old get successors, published ones take over, retired ones go."""
    from envol.outbound import rotation

    rotation.look_after()


@app.periodic(cron="41 * * * *")
@app.task(queue="house", name="outbound.forget_uses", queueing_lock="outbound.forget_uses")
def forget_uses(timestamp: int) -> None:
    """Every hour: drop counts of keys that no rate asks for any more."""
    from envol.accounts import api_keys

    api_keys.forget_uses()


@app.periodic(cron="13 4 * * *")
@app.task(queue="house", name="outbound.forget_mail", queueing_lock="outbound.forget_mail")
def forget_mail(timestamp: int) -> None:
    """Every night: mail that people wrote to us, and reports, are kept for a while, not for ever."""
    from envol.outbound import domain_reports, mailbox, mailing

    mailbox.forget_old()
    domain_reports.forget_old()
    mailing.tidy()


@app.periodic(cron="47 * * * *")
@app.task(queue="house", name="outbound.tidy", queueing_lock="outbound.tidy")
def tidy(timestamp: int) -> None:
    """Every hour: what was kept long enough goes."""
    from envol.outbound import dialogues, rolls

    dialogues.sweep()
    rolls.sweep()


@app.periodic(cron="43 * * * *")
@app.task(queue="house", name="outbound.tls_reports", queueing_lock="outbound.tls_reports")
def tls_reports(timestamp: int) -> None:
    """Every hour: yesterday's reports to the domains that ask for them (RFC 8460), those that were not sent yet."""
    from envol.outbound import tls

    tls.send_reports()


@app.periodic(cron="51 * * * *")
@app.task(queue="house", name="outbound.watch", queueing_lock="outbound.watch")
def watch(timestamp: int) -> None:
    """Every hour: are the records of domains still there?"""
    from envol.outbound import watch as domains_watch

    domains_watch.look()


@app.periodic(cron="33 */6 * * *")
@app.task(queue="house", name="outbound.blocklists", queueing_lock="outbound.blocklists")
def blocklists(timestamp: int) -> None:
    """Four times a day: is anything of ours on a list the operator named?"""
    from envol.outbound import blocklists as lists

    lists.look()


@app.task(queue="house", name="outbound.distribute")
def distribute(post_id: int) -> None:
    """A post that may leave goes to everybody of its list; doing it twice is harmless."""
    from envol.outbound import mailing

    mailing.distribute(post_id)


@app.periodic(cron="3 * * * *")
@app.task(queue="house", name="outbound.digests", queueing_lock="outbound.digests")
def digests(timestamp: int) -> None:
    """Every hour: where it is morning, the message of the day of mailing lists."""
    from envol.outbound import digests as of_lists

    of_lists.run()
