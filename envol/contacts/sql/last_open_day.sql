-- The day of the last open, overwritten each time; no time of day is kept anywhere.
UPDATE contacts_contact AS c
   SET last_open_day = d.day
  FROM unnest(%(contacts)s::bigint[], %(days)s::date[]) AS d(contact_id, day)
 WHERE c.id = d.contact_id AND (c.last_open_day IS NULL OR c.last_open_day < d.day);
