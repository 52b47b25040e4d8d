"""MedNIST: small medical images as JPEG in, which of six kinds they are out.

The weights that come with Naiad were trained on synthetic phantoms and are not for diagnosis.
"""
