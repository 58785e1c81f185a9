// Shows new messages as they come: waits for one, then loads the page again, unless something is being written.
const { chat, last } = document.body.dataset;
const said = document.getElementById("chat");
const down = () => said.scrollTo(0, said.scrollHeight);
down();
window.addEventListener("load", down); // once pictures have their size

const writing = () => [...document.querySelectorAll("input")].some((i) => i.value !== "");

async function watch() {
  for (;;) {
    try {
      const answer = await fetch(`${chat}?after=${last}&wait=25s`);
      const { messages } = await answer.json();
      if (messages.length > 0 && !writing()) {
        location.reload();
        return;
      }
    } catch {
      // The twin is away; it may come back.
    }
    await new Promise((go) => setTimeout(go, 1000));
  }
}
watch();
