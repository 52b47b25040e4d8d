"""Any MONAI bundle: volumes in, label maps or class probabilities out."""
