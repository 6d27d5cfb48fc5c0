// Server-sent events from our own server. When the connection is lost the browser opens it again, and all
// that is known comes afresh.

export function listen(on) {
  const source = new EventSource("events");
  on.state("connecting");
  source.addEventListener("clock", (event) => on.clock(JSON.parse(event.data)));
  source.addEventListener("all", (event) => {
    on.all(JSON.parse(event.data));
    on.state("live");
  });
  source.addEventListener("moment", (event) => on.moment(JSON.parse(event.data)));
  source.addEventListener("over", () => {
    source.close();
    on.state("the lab is gone");
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) on.state("connecting");
  });
  return source;
}
