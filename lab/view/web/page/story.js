// What happened, in sentences, newest last; those to come are not told while the past is shown.

const MOST = 300;

export class Story {
  constructor() {
    this.list = document.getElementById("sentences");
    this.reset();
  }

  reset() {
    this.count = 0;
    this.list.replaceChildren();
  }

  show({ past, moment }) {
    if (moment.story === this.count) return;
    if (moment.story < this.count) this.reset();
    const first = past.story[0]?.at ?? 0;
    const fresh = past.story.slice(Math.max(this.count, moment.story - MOST), moment.story);
    const isAtEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 40;
    this.list.append(...fresh.map((sentence) => item(sentence, first)));
    while (this.list.children.length > MOST) this.list.firstChild.remove();
    this.count = moment.story;
    if (isAtEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}

function item(sentence, first) {
  const made = document.createElement("li");
  made.dataset.tone = sentence.tone;
  const at = document.createElement("time");
  at.textContent = `+${(sentence.at - first).toFixed(2)} s`;
  made.append(at, ` ${sentence.text}`);
  return made;
}
