"""Git's smart protocol over HTTP: clone, fetch and push."""
