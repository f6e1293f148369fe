"""Networks: trained in the batch layer with Keras (extra ``train``), served by ONNX Runtime (extra ``networks``).

What is trained is exported as small ONNX graphs that we write ourselves, so that serving needs no Keras and the graph
holds what the line asks for and nothing else.
"""
