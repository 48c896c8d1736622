"""One class per kind of coder, behind one interface."""

from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.coders.conv_vae import ConvVAE
from deepcoder_tf.coders.dense_vae import DenseVAE
from deepcoder_tf.coders.sparse_vogpae import SparseVOGPAE
from deepcoder_tf.coders.vogpae import VOGPAE

__all__ = ["VOGPAE", "Coder", "ConvVAE", "DenseVAE", "SparseVOGPAE"]
