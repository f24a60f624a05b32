-- Policies of MTA-STS (RFC 8461), kept across restarts for as long as they hold.
CREATE TABLE outbound_sts (
    domain     text PRIMARY KEY,
    policy_id  text NOT NULL,
    body       text NOT NULL,
    until      timestamptz NOT NULL
);

-- TLS sessions of a day (RFC 8460): one row for each kind of outcome; sent as a report and forgotten.
CREATE TABLE outbound_tls_count (
    day         date NOT NULL,
    domain      text NOT NULL,
    policy_type text NOT NULL,
    policy      text[] NOT NULL,
    mx          text[] NOT NULL,
    result      text NOT NULL,
    host        text NOT NULL,
    address     text NOT NULL,
    source      text NOT NULL,
    reason      text NOT NULL,
    n           int NOT NULL,
    PRIMARY KEY (day, domain, policy_type, policy, mx, result, host, address, source, reason)
);
CREATE TABLE outbound_tls_reported (
    day    date NOT NULL,
    domain text NOT NULL,
    sent   boolean NOT NULL,
    PRIMARY KEY (day, domain)
);
