-- bulk_undo_join --
-- The stays that this act opened and nobody ended since never were; the events tell that they were undone.
DELETE FROM contacts_membership m
 USING contacts_bulk_person p
 WHERE p.bulk_id = %(bulk)s AND p.changed AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
   AND m.contact_id = p.contact_id AND m.list_id = %(list)s
   AND m.id = (p.before ->> 'stay')::bigint AND m.until IS NULL
RETURNING m.contact_id
