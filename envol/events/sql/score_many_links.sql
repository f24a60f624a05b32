-- Nobody follows three different links of a message within two seconds, but gateways that look behind every link
-- do. Earlier clicks of the same burst are marked too; what they are is known only when the third arrives.
UPDATE events_event AS e
   SET machine = 'many_links'
  FROM unnest(%(sendings)s::bigint[], %(contacts)s::bigint[]) AS p(sending_id, contact_id)
 WHERE e.sending_id = p.sending_id AND e.contact_id = p.contact_id AND e.kind = %(clicked)s AND e.machine IS NULL
   AND e.at > %(lo)s::timestamptz - %(burst)s::interval AND e.at < %(hi)s::timestamptz + %(burst)s::interval
   AND EXISTS (
       SELECT FROM events_event AS first
        WHERE first.sending_id = p.sending_id AND first.contact_id = p.contact_id AND first.kind = %(clicked)s
          AND first.at > e.at - %(burst)s::interval AND first.at <= e.at
          AND first.at > %(lo)s::timestamptz - 2 * %(burst)s::interval AND first.at <= %(hi)s::timestamptz + %(burst)s::interval
          AND %(links)s <= (
              SELECT count(DISTINCT other.link) FROM events_event AS other
               WHERE other.sending_id = p.sending_id AND other.contact_id = p.contact_id AND other.kind = %(clicked)s
                 AND other.at >= first.at AND other.at < first.at + %(burst)s::interval
                 AND other.at > %(lo)s::timestamptz - 2 * %(burst)s::interval
                 AND other.at < %(hi)s::timestamptz + 2 * %(burst)s::interval));
