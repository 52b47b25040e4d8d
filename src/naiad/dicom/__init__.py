"""Studies from an archive or a folder, and results as DICOM that viewers open.

::

    source.py    where studies are found and fetched: `Source`
    archive.py   a DICOMweb archive: a `Source` and a `Sink`, by requests in web.py
    folder.py    a folder, zip archive or DICOMDIR: a `Source`; a folder as a `Sink`
    rules.py     which series of a study are taken, and why others are left out
    findings.py  what a task found in a series: labels, probabilities, volumes
    results.py   findings as DICOM instances: seg.py, sr.py, capture.py
    sink.py      where instances go: `Sink`
    deidentify.py    the standard's profile; deidentified.py: sources and sinks that apply it
    pseudonyms.py    new identifiers for old

No application is known here: a task whose units are scans says in `naiad.tasks.studies.ReadsSeries`
how it reads a series, and what it found.
"""
