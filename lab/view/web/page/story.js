// What happened, in sentences, newest last; those to come are not told while the past is shown.

const MOST = 300;

export class Story {
  constructor() {
    this.list = document.getElementById("sentences");
    this.isAtEnd = true;
    this.list.addEventListener("scroll", () => (this.isAtEnd = isAtEnd(this.list)), { passive: true });
    this.reset();
  }

  reset() {
    this.first = this.count = 0; // those shown: from the first to before the count
    this.list.replaceChildren();
  }

  show({ past, moment }) {
    if (moment.story === this.count) return;
    if (moment.story < this.count) this.goBack(moment.story);
    const start = past.story[0]?.at ?? 0;
    const from = Math.max(this.count, moment.story - MOST);
    this.list.append(...past.story.slice(from, moment.story).map((sentence) => item(sentence, start)));
    this.count = moment.story;
    this.keep(MOST);
    if (this.isAtEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  // The ones before stay as they are, and are not read out again.
  goBack(count) {
    if (count <= this.first) return this.reset();
    while (this.count > count) {
      this.list.lastChild.remove();
      this.count--;
    }
  }

  keep(most) {
    this.first = Math.max(this.first, this.count - most);
    while (this.list.childElementCount > most) this.list.firstChild.remove();
  }
}

function isAtEnd(list) {
  return list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
}

function item(sentence, first) {
  const made = document.createElement("li");
  made.dataset.tone = sentence.tone;
  const at = document.createElement("time");
  at.textContent = `+${(sentence.at - first).toFixed(2)} s`;
  made.append(at, ` ${sentence.text}`);
  return made;
}
