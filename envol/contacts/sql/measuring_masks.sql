-- What these people allow and refuse now.
SELECT id, workspace_id, allowed, refused FROM contacts_contact WHERE id = ANY(%(contacts)s);
