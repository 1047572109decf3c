"""The server: the verbs of a ledger over HTTP and WebSocket, for whoever has a token.

`routes` is the one table of what can be asked; `app` puts it behind the guard; handlers stand
in `api`. Nothing here decides what a verb does: it decodes, asks the ledger, and encodes.
"""
