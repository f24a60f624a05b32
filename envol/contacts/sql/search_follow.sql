-- Write the next contacts in the order of their stamps; how many were read. A stamp below `until` is final: the
-- transaction that gave it is over, and whoever changes such a contact again gives it a higher one.
WITH batch AS (
    SELECT c.id, c.workspace_id, c.updated_stamp, c.email_key, c.props
      FROM contacts_contact c
     WHERE (c.updated_stamp, c.id) > (%(stamp)s::xid8, %(contact)s) AND c.updated_stamp < %(until)s::xid8
     ORDER BY c.updated_stamp, c.id
     LIMIT %(most)s
), written AS (
    INSERT INTO contacts_search AS s (contact_id, workspace_id, text)
    SELECT b.id, b.workspace_id, concat_ws(E'\n', b.email_key, (
               SELECT string_agg(lower(b.props ->> k), E'\n') FROM unnest(%(names)s::text[]) AS k))
      FROM batch b
    ON CONFLICT (contact_id) DO UPDATE SET text = excluded.text WHERE s.text <> excluded.text
), moved AS (
    UPDATE contacts_search_mark m SET stamp = l.updated_stamp, contact_id = l.id
      FROM (SELECT updated_stamp, id FROM batch ORDER BY updated_stamp DESC, id DESC LIMIT 1) l
)
SELECT count(*) FROM batch;
