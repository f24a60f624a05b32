-- One count at a time for each page. A page counts in a transaction that holds the shared advisory
-- lock (page, turn), so pg_locks is the register of running counts, across processes, and nothing is
-- left behind by one that dies. The lock (page, 0) is the door: whoever looks for older counts holds
-- it, and a count that ends waits for it, so that a cancellation can never hit the next statement of
-- the same session.
--
-- SECURITY DEFINER: sessions of the pages act as envol_page, which may not cancel the sessions of the
-- role it signed in as. Through this function it may, and only those that count for this page.
CREATE FUNCTION audience_take_turn(of_page integer, its_turn integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest bigint;
BEGIN
    PERFORM pg_advisory_lock(of_page, 0);
    BEGIN
        SELECT max(l.objid::bigint) INTO newest
          FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
         WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.mode = 'ShareLock' AND l.classid::bigint = of_page;
        IF newest > its_turn THEN
            PERFORM pg_advisory_unlock(of_page, 0);
            RETURN false;
        END IF;
        PERFORM pg_cancel_backend(l.pid)
           FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
          WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.mode = 'ShareLock' AND l.classid::bigint = of_page
            AND l.pid <> pg_backend_pid();
        PERFORM pg_advisory_xact_lock_shared(of_page, its_turn);
    EXCEPTION
        -- OTHERS leaves out the cancellation; the door must open again then too.
        WHEN query_canceled OR OTHERS THEN
            PERFORM pg_advisory_unlock(of_page, 0);
            RAISE;
    END;
    PERFORM pg_advisory_unlock(of_page, 0);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION audience_take_turn(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audience_take_turn(integer, integer) TO envol_page;
