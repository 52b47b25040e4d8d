"""Growth of cost with size: a module per curve, each with a fitted exponent."""
