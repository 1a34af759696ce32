// @ts-check
// Heights and positions of the rows of a long list: measured for rows that were shown, estimated for the others.
// A Fenwick tree: to change a height, and to find a row by its place, cost the logarithm of the number of rows.
export class Heights {
  /** @param {ArrayLike<number>} guesses */
  constructor(guesses) {
    this.heights = Float64Array.from(guesses);
    this.sums = new Float64Array(this.heights.length + 1);
    this.heights.forEach((height, row) => this.add(row, height));
  }

  get count() {
    return this.heights.length;
  }

  /**
   * @param {number} row
   * @param {number} more
   */
  add(row, more) {
    for (let at = row + 1; at < this.sums.length; at += at & -at) this.sums[at] += more;
  }

  // Answers by how much it changed.
  /**
   * @param {number} row
   * @param {number} height
   */
  set(row, height) {
    const more = height - this.heights[row];
    if (more === 0) return 0;
    this.heights[row] = height;
    this.add(row, more);
    return more;
  }

  // Where a row begins; of the row behind the last one: the height of all.
  /** @param {number} row */
  top(row) {
    let sum = 0;
    for (let at = row; at > 0; at -= at & -at) sum += this.sums[at];
    return sum;
  }

  // The row at a position.
  /** @param {number} place */
  at(place) {
    let row = 0;
    let left = place;
    let step = 1;
    while (step * 2 < this.sums.length) step *= 2;
    for (; step > 0; step >>= 1) {
      if (row + step < this.sums.length && this.sums[row + step] <= left) {
        row += step;
        left -= this.sums[row];
      }
    }
    return Math.min(row, Math.max(0, this.count - 1));
  }
}
