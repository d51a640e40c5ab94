"""What differs in models that Keras 2 saved, in the terms of Keras 3.

archive.py    a whole model in one HDF5 file
calls.py      layers that call TensorFlow, as operations
cudnn.py      CuDNNLSTM and CuDNNGRU, as LSTM and GRU of other weights
attention.py  MultiHeadAttention where a mask leaves a query nothing
sigmoid.py    hard_sigmoid, by other weights
"""
