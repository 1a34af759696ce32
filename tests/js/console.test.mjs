// The console's pure modules, by Node's own test runner: node --test console.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';

const HERE = new URL('../../console/js/transcript/', import.meta.url);
const load = (name) => import(new URL(name, HERE));
const { Timeline, wordAt } = await load('timeline.js');
const { Heights } = await load('../list/heights.js');
const { matchesIn, findAll, replaced } = await load('matches.js');
const { cutByMatches, piecesOf } = await load('pieces.js');

// Numbers that look like chance and are the same each time.
function chance(seed) {
  let state = seed;
  return (most) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return state % most;
  };
}

test('the sentence at a moment is the one that a look at all of them finds', () => {
  const next = chance(7);
  for (let round = 0; round < 200; round += 1) {
    const sentences = Array.from({ length: next(30) }, () => {
      const start_ms = next(1000);
      return { start_ms, end_ms: start_ms + next(300) };
    });
    const timeline = new Timeline(sentences);
    for (let ms = 0; ms < 1300; ms += 17) {
      const spoken = sentences.filter((item) => item.start_ms <= ms && item.end_ms > ms);
      const latest = Math.max(...spoken.map((item) => item.start_ms));
      const found = timeline.at(ms);
      if (!spoken.length) assert.equal(found, -1);
      else assert.equal(sentences[found].start_ms, latest);
    }
  }
});

test('in a pause it is the sentence before, and before the first there is none', () => {
  const timeline = new Timeline([
    { start_ms: 1000, end_ms: 2000 },
    { start_ms: 5000, end_ms: 6000 },
  ]);
  assert.deepEqual([0, 1000, 3000, 5500, 9000].map((ms) => timeline.around(ms)), [-1, 0, 0, 1, 1]);
  assert.equal(new Timeline([]).around(5), -1);
});

test('a long pause leads to the next sentence, and what another channel says is no pause', () => {
  const timeline = new Timeline([
    { start_ms: 3000, end_ms: 4000 },
    { start_ms: 9000, end_ms: 10_000 },
    { start_ms: 11_000, end_ms: 20_000 },
    { start_ms: 12_000, end_ms: 13_000 },
    { start_ms: 25_000, end_ms: 26_000 },
  ]);
  const found = [0, 2999, 3500, 4000, 8999, 10_500, 14_000, 20_000, 25_500, 27_000].map((ms) => timeline.afterPause(ms, 2000));
  assert.deepEqual(found, [3000, 3000, null, 9000, 9000, null, null, 25_000, null, null]);
  assert.equal(new Timeline([]).afterPause(0, 2000), null);
});

test('a word lasts until the next one begins', () => {
  const words = [0, 200, 900].map((start_ms) => ({ start_ms, end_ms: start_ms + 240 }));
  assert.deepEqual([-1, 0, 199, 200, 899, 900, 99999].map((ms) => wordAt(words, ms)), [-1, 0, 0, 1, 1, 2, 2]);
  assert.equal(wordAt([], 10), -1);
});

test('80,000 words are looked through by halving', () => {
  let asked = 0;
  const words = Array.from({ length: 80_000 }, (_, n) => ({
    get start_ms() {
      asked += 1;
      return n * 200;
    },
  }));
  assert.equal(wordAt(words, 7_777_777), 38_888);
  assert.ok(asked < 20, `${asked} words were looked at`);
});

test('heights are those of a plain list', () => {
  const next = chance(3);
  for (const count of [0, 1, 2, 7, 64, 65, 500]) {
    const plain = Array.from({ length: count }, () => 1 + next(90));
    const heights = new Heights(plain);
    const top = (row) => plain.slice(0, row).reduce((sum, height) => sum + height, 0);
    for (let round = 0; round < 50 && count; round += 1) {
      const row = next(count);
      const height = 1 + next(200);
      assert.equal(heights.set(row, height), height - plain[row]);
      plain[row] = height;
      assert.equal(heights.top(row), top(row));
      assert.equal(heights.top(count), top(count));
      const place = next(top(count));
      const found = heights.at(place);
      assert.ok(top(found) <= place && place < top(found + 1), `${place} is not in row ${found}`);
    }
    assert.equal(heights.at(-5), 0);
    assert.equal(heights.at(1e9), Math.max(0, count - 1));
  }
});

test('words are found in either width and case, and where they stand is told', () => {
  const found = (text, asked) => matchesIn(text, asked).map(([from, to]) => text.slice(from, to));
  assert.deepEqual(found('用 ＧＰＵ 和 gpu，Gpu。', 'gpu'), ['ＧＰＵ', 'gpu', 'Gpu']);
  assert.deepEqual(found('㎏ 是千克 kg', 'kg'), ['㎏', 'kg']);
  assert.deepEqual(found('ﬁnd 𠮷 it', '𠮷'), ['𠮷']);
  assert.deepEqual(found('哈哈哈哈', '哈哈'), ['哈哈', '哈哈']);
  assert.deepEqual(found('abc', ''), []);
  assert.deepEqual(found('㎏ k', 'k'), ['k'], 'half of a letter is no match');
  assert.deepEqual(matchesIn('Gpu gpu', 'gpu', true), [[4, 7]]);
  const sentences = ['预算', '没有', '预算的预算'].map((text) => ({ text }));
  const places = findAll(sentences, '预算').map(({ number, match }) => [number, match]);
  assert.deepEqual(places, [[0, 0], [2, 0], [2, 1]]);
});

test('matches are replaced where they stand, and by what holds them itself', () => {
  const put = (text, asked, by) => replaced(text, matchesIn(text, asked), by);
  assert.equal(put('用 ＧＰＵ 和 gpu，Gpu。', 'gpu', 'GPU'), '用 GPU 和 GPU，GPU。');
  assert.equal(put('哈哈哈', '哈', '哈哈'), '哈哈哈哈哈哈');
  assert.equal(put('㎏，kg', 'kg', ''), '，');
  assert.equal(replaced('abc', [], 'x'), 'abc');
});

test('pieces make up the text, and know their words', () => {
  const words = ['用', 'two', 'GPU', '吧'].map((text) => ({ text }));
  const pieces = piecesOf('用 two GPU，吧。', words);
  assert.equal(pieces.map((piece) => piece.text).join(''), '用 two GPU，吧。');
  assert.deepEqual(pieces.filter((piece) => piece.word >= 0).map((piece) => piece.text), ['用', 'two', 'GPU', '吧']);
  assert.deepEqual(piecesOf('别的话。', words), [{ text: '别的话。', start: 0, word: -1 }]);
  assert.deepEqual(piecesOf('', []), []);
});

test('a match over several words is cut where the words end', () => {
  const text = '我们开会吧';
  const pieces = piecesOf(text, [...text].map((letter) => ({ text: letter })));
  const cut = pieces.map((piece) => cutByMatches(piece, [[1, 3]]).map((part) => [part.text, part.match]));
  assert.deepEqual(cut, [[['我', -1]], [['们', 0]], [['开', 0]], [['会', -1]], [['吧', -1]]]);
  const whole = cutByMatches({ text, start: 0 }, [[0, 1], [2, 4]]);
  assert.equal(whole.map((part) => part.text).join(''), text);
  assert.deepEqual(whole.map((part) => part.match), [0, -1, 1, -1]);
});

const { firstWrong, linesOf, wordsOf } = await load('../words.js');

test('words are separated by lines and commas of both languages', () => {
  assert.deepEqual(wordsOf(' 王晓明：8，李四、Kubernetes, 李四\n\n吉特 ＝＞ Git '), ['王晓明:8', '李四', 'Kubernetes', '吉特 => Git']);
  assert.deepEqual(linesOf('one, two\n one, two \n三'), ['one, two', '三']);
});

test('a word that the API refuses is found', () => {
  assert.equal(firstWrong(['王晓明:8', 'GPU', '吉特=>Git', 'C++:10']), undefined);
  const wrong = ['字', 'GPU:11', 'GPU:0', 'GPU=>GPU', '=>Git', 'a=>Git', 'one=>two=>three', '字'.repeat(31)];
  for (const word of wrong) assert.equal(firstWrong(['好的', word]), word);
});

// Not pure: its modules ask for the language and what the browser remembers.
globalThis.navigator ??= { language: 'en' };
globalThis.localStorage ??= { getItem: () => null };
globalThis.document ??= { documentElement: { dataset: {} }, addEventListener: () => {} };
globalThis.window ??= globalThis;
globalThis.addEventListener ??= () => {};
globalThis.matchMedia ??= () => ({ matches: false, addEventListener: () => {} });
const { Text } = await load('text.js');

const sentence = (number, text) => ({ number, text, start_ms: number * 1000, end_ms: number * 1000 + 900, channel: 0, words: [] });
const textsOf = (text) => text.sentences.map((item) => item.text);

// A text whose pages come when a test says so.
class Held extends Text {
  asked = [];

  page(after) {
    return new Promise((resolve, reject) => {
      this.asked.push({ after, answer: (data, next = null) => resolve({ data, next }), fail: reject });
    });
  }
}

test('of two reads at once the later one counts, also where the earlier ends last or fails', async () => {
  for (const late of ['answer', 'fail']) {
    const text = new Held('tr_1');
    const [first, second] = [text.load(), text.load()];
    text.asked[1].answer([sentence(0, 'new')]);
    await second;
    text.asked[0][late](late === 'fail' ? new Error('lost') : [sentence(0, 'old')]);
    await first;
    assert.deepEqual(textsOf(text), ['new']);
  }
});

test('a read during which this page split a sentence begins again', async () => {
  const text = new Held('tr_1');
  text.take([sentence(0, 'ab'), sentence(1, 'c')]);
  text.loaded.value = true;
  const read = text.load();
  text.splice(0, 1, [sentence(0, 'a'), sentence(1_000_000_001, 'b')]);
  text.asked[0].answer([sentence(0, 'ab'), sentence(1, 'c')]);
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(textsOf(text), ['a', 'b', 'c']);
  text.asked[1].answer([sentence(0, 'a'), sentence(1_000_000_001, 'b'), sentence(1, 'd')]);
  await read;
  assert.deepEqual(textsOf(text), ['a', 'b', 'd']);
});

test('an answer finds its sentence by its number, wherever it stands by then', () => {
  const text = new Held('tr_1');
  text.take([sentence(0, 'ab'), sentence(1, 'c'), sentence(2, 'd')]);
  text.splice(0, 1, [sentence(0, 'a'), sentence(1_000_000_001, 'b')]);
  text.replace(sentence(1, 'C'));
  assert.deepEqual(textsOf(text), ['a', 'b', 'C', 'd']);
  text.splice(1, 2, [sentence(1, 'Cd')]);
  text.replace(sentence(2, 'D')); // merged with another meanwhile
  text.splice(2, 1, [sentence(2, 'D')]);
  assert.deepEqual(textsOf(text), ['a', 'b', 'Cd']);
});
