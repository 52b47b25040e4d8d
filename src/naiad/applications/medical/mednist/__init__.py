"""MedNIST: small medical images as JPEG in, one of six kinds out.

The weights that come with Naiad were trained on synthetic phantoms and are not for diagnosis.
"""
