-- Did somebody who wants at most one campaign in so many days get one since? A condition over `c`. Few people say so, and
-- of each the sendings of these days are looked up by number: in a campaign that is her own.
EXISTS (SELECT FROM consent_restriction f
         WHERE f.workspace_id = c.workspace_id AND f.contact_id = c.id AND f.until IS NULL
           AND f.scope IN ('weekly', 'monthly')
           AND EXISTS (SELECT FROM outbound_sending g JOIN outbound_send s ON s.sending_id = g.id AND s.no = c.id
                        WHERE g.workspace_id = c.workspace_id AND g.kind IN ('campaign', 'resend')
                          AND s.created_at > now() - CASE f.scope WHEN 'weekly' THEN interval '7 days'
                                                                  ELSE interval '30 days' END))
