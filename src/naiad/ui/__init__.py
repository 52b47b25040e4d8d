"""Surfaces of a server for people and programs: a page, tasks over HTTP, tools for agents.

All of it is derived from tasks and schemas, and is a client of the server: it holds no model.
"""
