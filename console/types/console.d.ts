// Types that several modules of the console use; global, so that JSDoc can name them without an import.

type Schemas = import('./api').components['schemas'];
type Job = Schemas['Transcription'] & { preview?: string | null };
type JobError = Schemas['Failure'];
type Sentence = Schemas['SentenceOut'];
type Revision = Schemas['RevisionOut'];
type Word = Schemas['WordOut'];
type Speaker = Schemas['SpeakerOut'] & Partial<Schemas['NamedSpeakerOut']>;
type Voice = Schemas['VoiceOut'];
type VoiceList = Schemas['VoiceList'];
type Hit = Schemas['HitOut'];
type Batch = Schemas['BatchDetail'];
type Caller = Schemas['CallerOut'];
type ApiKey = Schemas['KeyOut'];
type Webhook = Schemas['Webhook'];
type Vocabulary = Schemas['VocabularyOut'];
type VocabularyWords = Schemas['VocabularyDetail'];
type Summary = Schemas['SummaryOut'];
type PreviousSummary = Schemas['PreviousSummaryOut'];
type SummaryTemplate = Schemas['SummaryTemplateOut'];
type Delivery = Schemas['DeliveryOut'];
type UsageRow = Schemas['UsageOut'];
type Peaks = Schemas['PeaksOut'];
type Share = Schemas['ShareOut'];
type NewShare = Schemas['ShareWithLink'];
type ShareList = Schemas['ShareList'];
type Shared = Schemas['SharedOut'];
type RecordingWarning = Schemas['WarningOut'];
type AudioTrack = Schemas['TrackOut'];

type Model = import('../js/transcript/model.js').Model;
type Player = import('../js/player/player.js').Player;
type Scroller = import('../js/list/scroller.js').Scroller;
type Problem = import('../js/api.js').Problem;

/** What can be explained to a person: a Problem, a job's own error, or a code that the console made up. */
interface Explainable {
  code?: string;
  detail?: string;
  message?: string;
  requestId?: string | null;
}

type Signal<T> = import('@preact/signals').Signal<T>;

/** Any event, with its target as whatever element the handler stands on. */
type AnyEvent = KeyboardEvent & DragEvent & { target: any; currentTarget: any };

/** What the list of jobs is narrowed to (js/jobs/filters.js). */
interface JobFilters {
  status: string;
  tag: string;
  name: string;
  batch: string;
  from: string;
  to: string;
  sort: string;
}

/** What a call of the API takes besides its path (js/api.js). */
interface CallOptions {
  json?: unknown;
  query?: Record<string, any>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  again?: boolean;
}

/** A component's children. */
type Children = import('preact').ComponentChildren;

/** A job that is watched (js/jobs/live.js). */
interface Entry {
  id: string;
  job: Signal<Job | null>;
  sentences: Signal<Sentence[]>;
  gone: Signal<Problem | null>;
  users: number;
  stream: EventSource | null;
  run: number;
}

/** A file on its way, as it is shown (js/submit/uploads.js). */
interface Upload {
  key: number;
  /** Of files that were chosen together. */
  group?: string;
  name: string;
  size: number;
  sent: number;
  rate: number | null;
  state: 'waiting' | 'uploading' | 'submitting' | 'failed';
  problem: Problem | null;
}

/** An upload that a reload interrupted. */
interface InterruptedUpload {
  name: string;
  size: number | null;
  urlStorageKey: string;
}

/** A piece of a sentence's text: `word` is its place among the words, or -1. */
interface Piece {
  text: string;
  start: number;
  word?: number;
}

/** tus-js-client, as its script makes it. */
declare var tus: typeof import('tus-js-client');
