-- bulk_undo_leave --
-- Open the very stays again that this act ended; who came back by another way since keeps her new stay.
UPDATE contacts_membership m SET until = NULL
  FROM contacts_bulk_person p
 WHERE p.bulk_id = %(bulk)s AND p.changed AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
   AND m.contact_id = p.contact_id AND m.list_id = %(list)s AND m.id = (p.before ->> 'stay')::bigint
   AND NOT EXISTS (SELECT FROM contacts_membership o
                    WHERE o.contact_id = p.contact_id AND o.list_id = %(list)s AND o.until IS NULL)
RETURNING m.contact_id
