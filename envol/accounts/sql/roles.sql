-- Two roles: the owner, who migrates and works, and envol_page, as whom pages and API speak to the
-- database, so that row-level security can hold them. The owner may become envol_page (SET ROLE),
-- therefore no second password is needed where the database is somebody else's.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'envol_page') THEN
        CREATE ROLE envol_page NOLOGIN;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'The role envol_page is missing and % may not create it. As a superuser: CREATE ROLE envol_page; GRANT envol_page TO %;',
        current_user, current_user;
END $$;
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'envol_page', 'MEMBER') THEN
        EXECUTE format('GRANT envol_page TO %I', current_user);
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO envol_page;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO envol_page;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO envol_page;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO envol_page;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO envol_page;
