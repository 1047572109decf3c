"""The web page: what `clew serve` shows to a person. HTML from the server; see `docs/page.md`."""
