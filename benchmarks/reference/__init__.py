"""NuGraph2 and NuGraph3 as people write and deploy them: the reference for Naiad's pipelines.

Event tables are pandas frames, the graph is PyTorch Geometric's ``HeteroData``, the network its
``HeteroConv`` with softmax aggregation, and the service a plain model of Triton's Python backend
that answers one request after the other. Same function and same weights as
:mod:`naiad.applications.nugraph`; nothing here is used by Naiad.
"""
