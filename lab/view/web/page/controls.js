// The buttons. Each is a POST with the token from our address, which nobody else knows.

const TOKEN = "punchlab-token";
const UNITS = { delay: "ms", jitter: "ms", loss: "%", rate: "mbit" };

export class Controls {
  constructor() {
    this.said = document.getElementById("said");
    this.fields = document.getElementById("changes");
    this.token = location.hash.slice(1) || sessionStorage.getItem(TOKEN) || "";
    if (this.token) sessionStorage.setItem(TOKEN, this.token);
    else this.refuse("Only to look at: to change things, open the whole address that the terminal shows.");
    for (const form of this.fields.querySelectorAll("form")) {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.send(form, event.submitter);
      });
    }
    for (const field of this.fields.querySelectorAll("details:has(button) input")) {
      field.addEventListener("keydown", (event) => this.enter(event, field));
    }
  }

  refuse(why) {
    this.fields.disabled = true;
    this.said.textContent = why;
  }

  // Enter means the button beside the field, not the form's first one.
  enter(event, field) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    field.form.requestSubmit(field.closest("details").querySelector("button"));
  }

  // Fills each select from what there is, and keeps what was chosen.
  offer(sketch) {
    const lists = {
      ...sketch,
      machines: [...sketch.relays, ...sketch.routers, ...sketch.hosts],
    };
    const preferred = { a: sketch.pinged?.[0], b: sketch.pinged?.[1], profile: "symmetric" };
    for (const select of this.fields.querySelectorAll("select[data-list]")) {
      const options = lists[select.dataset.list].map((name) => new Option(name));
      const before = select.value;
      select.replaceChildren(...options);
      const wanted = [before, preferred[select.name]].find((value) => options.some((each) => each.value === value));
      if (wanted) select.value = wanted;
    }
    for (const form of this.fields.querySelectorAll("form")) {
      form.hidden = [...form.querySelectorAll("select[data-list]")].some((select) => !select.options.length);
    }
  }

  async send(form, button) {
    const asked = Object.fromEntries(new FormData(form));
    asked.change = button.value;
    if (button.dataset.action) asked.action = button.dataset.action;
    for (const [name, unit] of Object.entries(UNITS)) if (asked[name]) asked[name] += unit;
    this.said.textContent = `${button.textContent} …`;
    button.setAttribute("aria-busy", "true");
    this.said.textContent = await this.ask(asked);
    button.removeAttribute("aria-busy");
  }

  async ask(asked) {
    const headers = { "Content-Type": "application/json", "X-Punchlab-Token": this.token };
    try {
      const answer = await fetch("change", { method: "POST", headers, body: JSON.stringify(asked) });
      const { said, problem } = await answer.json();
      return said ?? problem;
    } catch {
      return "The server does not answer: it was ended, or it is out of reach.";
    }
  }
}
