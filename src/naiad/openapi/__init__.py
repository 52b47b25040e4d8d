"""Documents in OpenAPI 3.1 of what a server answers over HTTP."""
