-- What these people allow and refuse now, and the country of the first place known of each: what may be measured without
-- consent depends on it.
SELECT id, workspace_id, allowed, refused,
       (SELECT value ->> 'country' FROM jsonb_each(props)
         WHERE jsonb_typeof(value) = 'object' AND value ->> 'country' <> '' LIMIT 1)
  FROM contacts_contact WHERE id = ANY(%(contacts)s);
