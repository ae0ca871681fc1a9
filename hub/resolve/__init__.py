"""Files over HTTP: `/resolve/` for clients, `/raw/` for browsers."""
