"""``naiad watch``: new studies in an archive, asked about once each, results sent back.

::

    settings.py   how often, how patiently
    journal.py    what was done with each study, on disk: `Journal`
    lock.py       one process for each journal
    audit_log.py  what was done, by whom and when, without a pixel or a name: `AuditLog`
    outbox.py     results between the model and the archive, on disk: `Outbox`
    watching.py   the work: `Watch`
"""
