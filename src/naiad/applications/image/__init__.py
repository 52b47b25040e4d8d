"""Image classification: picture files in, labels out; also by Triton's Inception contract.

The weights that come with Naiad know ten generated shapes, not photographs; import your own.
"""
