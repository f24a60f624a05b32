-- bulk_tag --
-- Give one batch a tag that they do not wear yet; each row is locked in order of ids, so two members never wait
-- for one another in a ring.
WITH batch AS MATERIALIZED (
    SELECT c.id, c.tags
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND NOT c.tags ? %(tag)s
     ORDER BY c.id
       FOR UPDATE OF c
), done AS (
    UPDATE contacts_contact c
       SET tags = (SELECT jsonb_agg(t ORDER BY t COLLATE "C")
                     FROM (SELECT jsonb_array_elements_text(b.tags) UNION SELECT %(tag)s) u (t))
      FROM batch b WHERE c.id = b.id
    RETURNING c.id
)
UPDATE contacts_bulk_person p SET changed = true
  FROM done d WHERE p.bulk_id = %(bulk)s AND p.contact_id = d.id
RETURNING p.contact_id
