-- What silence may come from, as far as it shows; written anew each night.
CREATE TABLE audience_habit (
    workspace_id int NOT NULL,
    contact_id   bigint NOT NULL,
    habit        text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, habit, contact_id)
);
CREATE INDEX audience_habit_person ON audience_habit (contact_id);
