// What a stored text made of a page: elements and attributes that no template of ours writes.
() => {
  const wrong = [];
  const own = (url) => new URL(url, location.href).origin === location.origin;
  for (const each of document.querySelectorAll("*")) {
    const name = each.localName;
    const say = (why) => wrong.push(`${why}: ${each.outerHTML.slice(0, 200)}`);
    if (/^(iframe|object|embed|base|style|template|math|foreignobject|use|animate|video|audio|marquee|applet|frame)$/i.test(name)) say("made");
    if (name === "script" && !each.getAttribute("src")?.startsWith("/static/")) say("script");
    if (name === "link" && !each.getAttribute("href").startsWith("/static/")) say("link");
    if (name === "meta" && each.httpEquiv) say("meta");
    if (name === "form" && !own(each.action)) say("form");
    if (name === "img" && !/^(\/static\/|data:image\/(png|jpeg|gif|webp);base64,)/.test(each.getAttribute("src"))) say("img");
    for (const { name: attribute, value } of each.attributes) {
      if (/^on|^srcdoc$|^formaction$|^hx-on|^data-hx|^hx-vals/.test(attribute)) say("attribute");
      if (attribute === "style" && /url|expression|import|position|display/i.test(value)) say("style");
      if (/href|src$/.test(attribute) && /^\s*(javascript|vbscript|data:text)/i.test(value)) say("address");
      if (/^hx-(get|post|put|delete|patch)$/.test(attribute) && !/^\/(?!\/|logout)/.test(value)) say("hx");
      if (/^data-(post|undo)$/.test(attribute) && !value.startsWith("/api/v1/sessions/")) say("verb");
    }
  }
  return wrong;
}
