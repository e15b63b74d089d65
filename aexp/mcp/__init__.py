"""The verbs as typed tools for coding agents, over the Model Context Protocol.

A tool calls one function of the library and returns JSON. None executes a run, and none
takes a command: what executes is what the experiment's file says, when a person or a
scheduler starts it. The only importer of the SDK; its packages are the extra ``mcp``.
"""
