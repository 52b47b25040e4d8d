"""The ``naiad`` command: one module per command group."""
