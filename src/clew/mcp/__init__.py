"""The ledger for agents, over the Model Context Protocol: an agent looks up its own past.

`table` is the list of tools, each with the scope that it needs; `requests` is what they take;
`reading` and `writing` are what they do, with the verbs of `clew.Ledger` and `clew.Session`
alone; `quoting` makes of what they found a record that is no instruction; `server` speaks the
protocol, with the official SDK. Standard input and output only.
"""
