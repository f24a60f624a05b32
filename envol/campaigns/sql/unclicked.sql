-- Received an earlier sending of this campaign, and no click of hers is known in any of them.
EXISTS (
    SELECT FROM outbound_sending e JOIN outbound_outcome o ON o.sending_id = e.id AND o.no = c.id
     WHERE e.campaign_id = %(campaign)s AND e.id < %(sending)s AND e.kind IN ('campaign', 'resend')
       AND o.state = 'delivered')
AND NOT EXISTS (
    SELECT FROM outbound_sending e JOIN events_event v ON v.sending_id = e.id AND v.contact_id = c.id
     WHERE e.campaign_id = %(campaign)s AND e.id < %(sending)s AND e.kind IN ('campaign', 'resend')
       AND v.kind = %(clicked)s AND v.machine IS NULL)
