-- Outcomes are events too: programs that listen are told of them. Tests and Envol's own mail are nobody's business.
CREATE FUNCTION outbound_outbox_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM events_endpoint) THEN
        RETURN NULL;
    END IF;
    INSERT INTO events_outbox (endpoint_id, workspace_id, kind, at, contact_id, sending_id, no, facts)
    SELECT e.id, x.workspace_id, f.kind, f.at, s.contact_id, f.sending_id, f.no,
           jsonb_build_object('cause', f.cause, 'code', f.code, 'enhanced', f.enhanced, 'reply', f.reply)
      FROM (SELECT o.*, CASE o.state WHEN 'delivered' THEN 2 WHEN 'bounced' THEN 4 WHEN 'expired' THEN 9
                                     WHEN 'cancelled' THEN 10 ELSE 11 END AS kind
              FROM fresh o) f
      JOIN outbound_sending x ON x.id = f.sending_id AND x.kind IN ('campaign', 'resend', 'again', 'transactional')
      JOIN outbound_send s ON s.sending_id = f.sending_id AND s.no = f.no
      JOIN events_listening() e ON e.workspace_id = x.workspace_id AND e.kind = f.kind;
    RETURN NULL;
END $$;
CREATE TRIGGER outbound_outcome_outbox AFTER INSERT ON outbound_outcome
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION outbound_outbox_add();
