-- Lines of a file of orders as they were read, in `order_line` (of this session), become orders in `order_head`: what
-- each says, who bought, and why it stays out. What is true of the whole order may stand on one of its lines only.
CREATE INDEX ON order_line (order_id);
ANALYZE order_line;
CREATE TEMP TABLE order_head AS
SELECT row_number() OVER (ORDER BY min(no)) AS g, order_id, min(no) AS no, bool_or(bad) AS bad,
       min(email) AS email, min(kind) AS kind, min(ident) AS ident,
       (array_agg(at ORDER BY no) FILTER (WHERE at IS NOT NULL))[1] AS at,
       coalesce(min(amount), sum(line_amount)) AS amount, min(currency) AS currency, coalesce(min(code), '') AS code,
       count(*) FILTER (WHERE product IS NOT NULL) AS products,
       count(DISTINCT email) > 1 OR count(DISTINCT ident) > 1 AS other_buyer,
       count(DISTINCT amount) > 1 AS other_amount, count(DISTINCT currency) > 1 AS other_currency,
       NULL::bigint AS contact_id, NULL::text AS known, NULL::text AS cause, '' AS lacks
  FROM order_line GROUP BY order_id;
CREATE UNIQUE INDEX ON order_head (g);
CREATE INDEX ON order_head (order_id);
ANALYZE order_head;
UPDATE order_head h SET contact_id = c.id FROM contacts_contact c
 WHERE c.workspace_id = %(workspace)s AND c.email_key = h.email;
UPDATE order_head h SET contact_id = i.contact_id FROM contacts_identifier i
 WHERE h.contact_id IS NULL AND i.workspace_id = %(workspace)s AND i.kind = h.kind AND i.value = h.ident;
UPDATE order_head h SET known = CASE WHEN o.import_id = %(import)s THEN 'mine' ELSE 'known' END
  FROM contacts_order o WHERE o.workspace_id = %(workspace)s AND o.external_id = h.order_id;
UPDATE order_head SET currency = %(currency)s WHERE currency IS NULL;
UPDATE order_head SET
       cause = CASE WHEN bad THEN 'order_part'
                    WHEN other_buyer OR other_amount OR other_currency THEN 'order_differs'
                    WHEN at IS NULL OR amount IS NULL OR abs(amount) >= 1e15 OR (email IS NULL AND ident IS NULL) THEN 'order_lacks'
                    WHEN contact_id IS NULL THEN 'nobody' END,
       lacks = CASE WHEN bad THEN ''
                    WHEN other_buyer THEN 'buyer' WHEN other_amount THEN 'amount' WHEN other_currency THEN 'currency'
                    WHEN at IS NULL THEN 'date' WHEN amount IS NULL OR abs(amount) >= 1e15 THEN 'amount'
                    WHEN email IS NULL AND ident IS NULL THEN 'buyer' ELSE '' END
 WHERE known IS NULL OR known = 'mine';
