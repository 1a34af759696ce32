// @ts-check
// What a job is called: its file, or the end of its link.
/** @param {Job} job */
export function nameOf(job) {
  if (job.source?.name) return job.source.name;
  const path = job.source?.url?.split('/').filter(Boolean) ?? [];
  const last = path.length > 2 ? path.at(-1) : job.source?.url;
  if (!last) return job.id;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}
