-- Not at INSERT: no request can wait for a job before it exists.
CREATE TRIGGER jobs_notify AFTER UPDATE ON jobs FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.stage IS DISTINCT FROM NEW.stage
      OR OLD.processed_ms IS DISTINCT FROM NEW.processed_ms OR OLD.run IS DISTINCT FROM NEW.run
      OR OLD.cancel_requested IS DISTINCT FROM NEW.cancel_requested)
EXECUTE FUNCTION notify_job();

CREATE TRIGGER jobs_notify_deleted AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION notify_job();

CREATE TRIGGER jobs_note_tags AFTER INSERT ON jobs FOR EACH ROW WHEN (cardinality(NEW.tags) > 0)
EXECUTE FUNCTION jobs_note_tags();
