"""NuGraph3 as it is trained since 2026: one hit table for all planes, and object condensation."""
