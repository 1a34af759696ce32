// @ts-check
// What a job is called: as somebody named it, its file, or the end of its link.
/** @param {Job} job */
export function nameOf(job) {
  if (job.name) return job.name;
  const path = job.source?.url?.split('/').filter(Boolean) ?? [];
  const last = path.length > 2 ? path.at(-1) : job.source?.url;
  if (!last) return job.id;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}
