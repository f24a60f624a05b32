-- Did somebody who wants at most one message in so many days get one since? A condition over `c`. Few people say so, and
-- of each the sendings of these days are looked up by number, which in a campaign is her own, and the posts of mailing
-- lists by her address: of those whose people a segment chooses. What she joined herself she hears as she chose there.
EXISTS (SELECT FROM consent_restriction f,
                    LATERAL (SELECT now() - CASE f.scope WHEN 'weekly' THEN interval '7 days'
                                                         ELSE interval '30 days' END AS day) since
         WHERE f.workspace_id = c.workspace_id AND f.contact_id = c.id AND f.until IS NULL
           AND f.scope IN ('weekly', 'monthly')
           AND (EXISTS (SELECT FROM outbound_sending g JOIN outbound_send s ON s.sending_id = g.id AND s.no = c.id
                         WHERE g.workspace_id = c.workspace_id AND g.kind IN ('campaign', 'resend')
                           AND s.created_at > since.day)
             OR EXISTS (SELECT FROM outbound_send s JOIN outbound_mailing_list l ON l.sending_id = s.sending_id
                         WHERE lower(s.address) = lower(c.email) AND s.message_id IS NOT NULL
                           AND l.workspace_id = c.workspace_id AND l.segment_id IS NOT NULL
                           AND s.created_at > since.day)))
