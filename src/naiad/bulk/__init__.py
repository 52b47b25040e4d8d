"""Bulk processing: many files through servers or a Ray cluster, and on where a run was cut off."""
