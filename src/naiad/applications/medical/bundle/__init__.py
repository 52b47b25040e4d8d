"""Any MONAI bundle: volumes or pictures in, label maps or class probabilities out."""
