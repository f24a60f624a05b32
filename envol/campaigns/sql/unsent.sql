-- Nobody twice: not in an earlier sending of this campaign, unless it was cancelled before it left.
NOT EXISTS (
    SELECT FROM outbound_sending e JOIN outbound_send s ON s.sending_id = e.id AND s.no = c.id
     WHERE e.campaign_id = %(campaign)s AND e.id < %(sending)s AND e.kind IN ('campaign', 'resend')
       AND NOT EXISTS (SELECT FROM outbound_outcome o
                        WHERE o.sending_id = s.sending_id AND o.no = s.no AND o.state = 'cancelled'))
