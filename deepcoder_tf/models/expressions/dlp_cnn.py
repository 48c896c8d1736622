"""DLP-CNN: a classifier whose codes stay near the next ones of their class."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.system import ExpressionBatch, Losses, cross_entropy

__all__ = ["DLPCNN", "locality"]


def locality(codes: tf.Tensor, classes: tf.Tensor, neighbours: int) -> tf.Tensor:
    """||x_i - 1/k sum_{x in N_k(x_i)} x||^2, a code's distance from its neighbours of its class.

    N_k(x_i) are the k nearest others of the same class in the batch; all of them where the batch
    has fewer, and where it has none the distance is 0.

    No gradient goes through the neighbours' mean. This is the authors' update: their derivative of
    the term by x_i is x_i minus the mean, as if the mean were constant (in their minibatch
    iteration, where N_k is found anew at each step). With the other reading, the term's full
    gradient, a code would be pulled twice, also by all those whose neighbour it is.

    Args:
      codes: `[B, D]` x.
      classes: `[B]` int32.
      neighbours: k.

    Returns:
      `[B]`.

    Source: Li, Deng and Du, Reliable crowdsourcing and deep locality-preserving learning for
    expression recognition in the wild, CVPR 2017, Section 4.2.
    """
    constant = tf.stop_gradient(codes)
    squares = tf.reduce_sum(constant**2, axis=-1)
    # ||a - b||^2 = ||a||^2 + ||b||^2 - 2 ab
    distances = squares[:, tf.newaxis] + squares - 2.0 * constant @ tf.transpose(constant)
    count = tf.shape(codes)[0]
    same = tf.equal(classes[:, tf.newaxis], classes) & ~tf.eye(count, dtype=tf.bool)
    ranked, places = tf.math.top_k(
        tf.where(same, -distances, -float("inf")), tf.minimum(neighbours, count - 1)
    )
    found = tf.cast(tf.math.is_finite(ranked), codes.dtype)
    known = tf.reduce_sum(found, axis=1)
    total = tf.einsum("bk,bkd->bd", found, tf.gather(constant, places))
    mean = total / tf.maximum(known, 1.0)[:, tf.newaxis]
    distance = tf.reduce_sum((codes - mean) ** 2, axis=-1)
    return tf.where(known > 0, distance, tf.zeros_like(distance))


@keras.saving.register_keras_serializable("deepcoder_tf")
class DLPCNN(Baseline):
    """The baseline's network, trained by L = L_s + lambda/2 L_lp.

        L_s = -sum_i log softmax(C_exp(x_i))_{y_i},  L_lp = sum_i ||x_i - 1/k sum_{N_k(x_i)} x||^2

    Both are sums over the batch in the paper and means here, which leaves lambda what it is.

    Differs from the paper: the trunk, branch and code are those of every row of this table, not
    its own eight-layer network with 2000 features, so that losses are compared and nothing else.
    lambda = .003 and k = 20 are the authors' on 2000 features.

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping; `dlp_weight` is lambda,
        `dlp_neighbours` k.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures.
      identities: number of people in the training pictures.

    Source: Li, Deng and Du, see `locality`.
    """

    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """`expression` and `locality`; the class of soft targets is the most probable one."""
        code = self.expression_code(self.features(batch.pictures, training=True))
        logits = self.head(self.drop(code, seed))
        classes = tf.argmax(batch.targets, axis=-1, output_type=tf.int32)
        near = locality(code, classes, self.config.dlp_neighbours)
        return {
            "network": {
                "expression": tf.reduce_mean(cross_entropy(batch.targets, logits)),
                "locality": tf.reduce_mean(near),
            }
        }
