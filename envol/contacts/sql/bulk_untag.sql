-- bulk_untag --
-- Take a tag from those of one batch who wear it.
WITH batch AS MATERIALIZED (
    SELECT c.id, c.tags
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND c.tags ? %(tag)s
     ORDER BY c.id
       FOR UPDATE OF c
), done AS (
    UPDATE contacts_contact c SET tags = b.tags - %(tag)s::text FROM batch b WHERE c.id = b.id RETURNING c.id
)
UPDATE contacts_bulk_person p SET changed = true
  FROM done d WHERE p.bulk_id = %(bulk)s AND p.contact_id = d.id
RETURNING p.contact_id
