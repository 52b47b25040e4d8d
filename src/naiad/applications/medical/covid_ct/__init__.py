"""COVID-19 on chest CT: NIfTI volumes in, "COVID Positive" or "COVID Negative" out.

The weights that come with Naiad were trained on synthetic phantoms and are not for diagnosis.
"""
