"""What people open beside a server: the browser page, its HTTP interface, tools for agents.

All of it is derived from tasks and schemas, and is a client of the server: it holds no model.
"""
