"""Behaviour as text. The .txt files here drive the bare core, the store and a live server;
the Python modules are the runner for the live server."""
