"""What each layer does to a tile: builders, which `table.py` names, and the steps that they build.

embedding.py folding.py          look-up of ids, and what is multiplied out beforehand
recurrent.py cells.py            LSTM, GRU, SimpleRNN
convolution.py planes.py full_width.py
                                 Conv1D and Conv2D
dense.py activations.py normalization.py pooling.py attention.py merging.py reshaping.py
operations.py                    layers of those families, and functions of keras.ops
blocks.py                        tensors of any shape, and the ways to them
"""
