-- bulk_undo_untag --
-- Give the tag back to those it was taken from.
WITH batch AS MATERIALIZED (
    SELECT c.id, c.tags FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.changed AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND NOT c.tags ? %(tag)s
     ORDER BY c.id FOR UPDATE OF c
)
UPDATE contacts_contact c
   SET tags = (SELECT jsonb_agg(t ORDER BY t COLLATE "C")
                 FROM (SELECT jsonb_array_elements_text(b.tags) UNION SELECT %(tag)s) u (t))
  FROM batch b WHERE c.id = b.id RETURNING c.id
