// Browsers start no worker from a page on disk (file://). The search of the site asks for one, so there a hidden frame
// takes its place: the same script runs in it, and messages pass between the two as events.
window.Worker = class extends EventTarget {
  constructor(address) {
    super();
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    document.body.appendChild(this.frame);
    const inner = this.frame.contentWindow;
    inner.postMessage = (data) => {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    };
    inner.importScripts = (...addresses) =>
      addresses.reduce((before, next) => before.then(() => this.load(next)), Promise.resolve());
    this.ready = this.load(address);
  }

  load(address) {
    return new Promise((resolve, reject) => {
      const script = this.frame.contentDocument.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = reject;
      this.frame.contentDocument.body.appendChild(script);
    });
  }

  postMessage(data) {
    this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
  }

  terminate() {
    this.frame.remove();
  }
};
