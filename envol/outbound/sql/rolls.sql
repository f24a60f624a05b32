-- Traffic by hour: what an administrator asks about, counted where it happens and written every few seconds by each
-- process. subject: a domain, a provider, a key, a peer; outcome: how it went. Nothing here says who got what.
CREATE TABLE outbound_roll (
    series       text NOT NULL,
    workspace_id int NOT NULL,  -- 0: of the installation
    hour         timestamptz NOT NULL,
    subject      text NOT NULL,
    outcome      text NOT NULL,
    n            bigint NOT NULL,
    octets       bigint NOT NULL,
    PRIMARY KEY (series, workspace_id, hour, subject, outcome)
);
-- The same since ever and without subjects that are many: what /metrics tells, which must never fall.
CREATE TABLE outbound_total (
    series  text NOT NULL,
    label   text NOT NULL,
    outcome text NOT NULL,
    n       bigint NOT NULL,
    octets  bigint NOT NULL,
    PRIMARY KEY (series, label, outcome)
);
