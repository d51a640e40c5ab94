"""Other ways to score the same texts. Each is a `Peer`; `registry.PEERS` lists them.

Packages that a peer needs are imported inside its methods: every peer's process pays for its own.
"""
