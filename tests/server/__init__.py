"""The server, its clients and the embedded resolver, as their users meet them."""
