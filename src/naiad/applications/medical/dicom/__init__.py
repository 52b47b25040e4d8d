"""DICOM series: folders, archives and files of them, and their conversion to volumes."""

from naiad.applications.medical.dicom.series import Series, find_series

__all__ = ["Series", "find_series"]
