-- bulk_leave --
-- End the present stay of one batch on a list; which stay it was is kept, to open the very same again.
WITH batch AS MATERIALIZED (
    SELECT m.id, m.contact_id, m.since
      FROM contacts_bulk_person p
      JOIN contacts_membership m ON m.contact_id = p.contact_id AND m.list_id = %(list)s AND m.until IS NULL
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
     ORDER BY m.contact_id
       FOR UPDATE OF m
), done AS (
    UPDATE contacts_membership m SET until = greatest(m.since, now())
      FROM batch b
     WHERE m.contact_id = b.contact_id AND m.list_id = %(list)s AND m.since = b.since AND m.id = b.id
    RETURNING m.id, m.contact_id
)
UPDATE contacts_bulk_person p SET changed = true, before = jsonb_build_object('stay', d.id)
  FROM done d WHERE p.bulk_id = %(bulk)s AND p.contact_id = d.contact_id
RETURNING p.contact_id
