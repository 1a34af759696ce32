// What one transcript page is made of, and what a person does with it.
import { computed, signal } from '../lib.js';
import { t } from '../i18n.js';
import { route } from '../router.js';
import { may } from '../session.js';
import { recall, remember } from '../storage.js';
import { announce, report } from '../ui/announce.js';
import { copyText } from '../ui/clipboard.js';
import { Finder } from './finder.js';
import { Player } from './player.js';
import { Scroller } from './scroller.js';
import { Text } from './text.js';

const LOW = 0.6;

export class Model {
  constructor(id) {
    this.id = id;
    this.text = new Text(id);
    this.player = new Player(id);
    this.scroller = new Scroller();
    this.finder = new Finder(this.text);
    this.following = signal(true);
    this.editing = signal(null); // the number of the sentence that is being corrected
    this.low = signal(recall('unsure_below', LOW)); // words with less confidence are tinted; 0: none
    this.channels = computed(() => {
      this.text.version.value;
      return this.text.channels;
    });
    this.mayEdit = may('submit');
  }

  // To the place that the address names: ?at= milliseconds, or ?s= the number of a sentence.
  start() {
    const { query } = route.peek();
    const wanted = query.has('s') ? Number(query.get('s')) : query.has('at') ? this.text.timeline.around(Number(query.get('at'))) : -1;
    const sentence = this.text.sentences[wanted];
    if (!sentence) return;
    this.player.wish(sentence.start_ms);
    this.scroller.focus(wanted);
  }

  playFrom(ms) {
    this.following.value = true;
    this.player.playFrom(ms);
  }

  follow() {
    this.following.value = true;
    const number = this.text.timeline.around(this.player.ms.peek());
    if (number >= 0) this.scroller.show(number);
  }

  setLow(value) {
    this.low.value = value;
    remember('unsure_below', value);
  }

  // Begins to correct a sentence; null ends it, and the focus goes back to the sentence.
  edit(number, from = null) {
    if (number !== null) this.player.audio.pause();
    this.editing.value = number;
    this.scroller.kept = number;
    if (from !== null) this.scroller.focus(from);
  }

  async undo(number) {
    try {
      await this.text.correct(number, null);
      announce(t('edit.undone'));
      this.scroller.focus(number);
    } catch (error) {
      report(error);
      if (error.code === 'edit_conflict') await this.text.reread(number).catch(report);
    }
  }

  copy(content) {
    return copyText(content);
  }

  copyAll() {
    const several = this.channels.peek() > 1;
    return this.copy(this.text.sentences.map((said) => `${several ? `[${said.channel + 1}] ` : ''}${said.text}`).join('\n'));
  }

  openFind() {
    this.finder.open.value = true;
    document.querySelector('.find input')?.focus();
  }

  closeFind() {
    const number = this.finder.current.value?.number ?? this.scroller.range()[0];
    this.finder.close();
    this.scroller.focus(number);
  }

  close() {
    this.player.close();
    this.text.close();
  }
}
