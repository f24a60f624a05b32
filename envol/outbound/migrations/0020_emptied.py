from django.db import migrations

_EMPTYING = "    IF current_setting('envol.emptying', true) = 'on' THEN RETURN NULL; END IF;\n"
_REMOVE = """CREATE OR REPLACE FUNCTION outbound_tally_remove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
%s    INSERT INTO outbound_tally (sending_id, site, state, cause, minute, n)
    SELECT f.sending_id, coalesce(s.site, ''), f.state, f.cause, date_trunc('minute', f.at), -count(*)
      FROM gone f LEFT JOIN outbound_send s ON s.sending_id = f.sending_id AND s.no = f.no
     GROUP BY 1, 2, 3, 4, 5;
    RETURN NULL;
END $$;
"""
_UNACCEPT = """CREATE OR REPLACE FUNCTION outbound_tally_unaccept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
%s    INSERT INTO outbound_tally (sending_id, site, state, minute, n)
    SELECT sending_id, site, 'accepted', date_trunc('minute', created_at), -count(*) FROM gone GROUP BY 1, 2, 4;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    """How much of each sending is no longer kept person by person. The tally keeps its totals while it is emptied: its
    triggers subtract what somebody takes away by SQL, and not what retention turns into numbers.
    """

    dependencies = [("outbound", "0019_worded")]

    operations = [
        migrations.RunSQL(
            "CREATE TABLE outbound_emptied (sending_id bigint NOT NULL, state text NOT NULL, n bigint NOT NULL,"
            " PRIMARY KEY (sending_id, state));" + _REMOVE % _EMPTYING + _UNACCEPT % _EMPTYING,
            "DROP TABLE outbound_emptied;" + _REMOVE % "" + _UNACCEPT % "",
        ),
    ]
