"""Image classification: JPEG and PNG files in, labels out; and the contract of Inception's example.

The weights that come with Naiad know ten generated shapes, not photographs; bring your own.
"""
