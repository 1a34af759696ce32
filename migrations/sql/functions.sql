-- Notifies requests that wait for a job (see api/job_notifications.py).
CREATE FUNCTION notify_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('paraqueue_jobs', OLD.id::text);
    RETURN NULL;
END $$;

-- A tag of a job in a row of its own, by the age of the job: a page of a tag's jobs is read in this order.
CREATE FUNCTION jobs_note_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_tags (job_id, tag, tenant, created_at)
    SELECT NEW.id, tag, NEW.tenant, NEW.created_at FROM (SELECT DISTINCT unnest(NEW.tags) AS tag) AS distinct_tags;
    RETURN NULL;
END $$;

-- Full-width letters become half-width ones, upper case becomes lower case.
CREATE FUNCTION search_folded(content text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(normalize(content, NFKC) COLLATE "pg_c_utf8");

-- The search keys of a text: a number for each two adjacent letters and, with shortest = 1, for each
-- single one. From high to low: 21 bits of the tenant's hash, 21 bits of the first letter (0 for a single one),
-- 21 bits of the second. It names no function of ours, because maintenance such as VACUUM runs it where only
-- PostgreSQL's own are in sight.
CREATE FUNCTION search_grams(tenant text, content text, shortest integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    owner bigint := (hashtextextended(tenant COLLATE "C", 0) & 2097151) << 42;
    spoken text := regexp_replace(
        lower(normalize(content, NFKC) COLLATE "pg_c_utf8"), '[^[:alnum:]]+' COLLATE "pg_c_utf8", ' ', 'g'
    );
    grams bigint[] := '{}';
    before bigint := 0;
    code bigint;
    letter text;
BEGIN
    FOREACH letter IN ARRAY string_to_array(spoken, NULL) LOOP
        code := ascii(letter);
        IF code = 32 THEN
            before := 0;
        ELSE
            IF before <> 0 THEN grams := grams || (owner + (before << 21) + code); END IF;
            IF shortest = 1 THEN grams := grams || (owner + code); END IF;
            before := code;
        END IF;
    END LOOP;
    RETURN grams;
END $$;
