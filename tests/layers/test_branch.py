"""The decoder against its transposed convolutions one by one."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.layers.branch import PictureDecoder


def test_the_decoder_is_six_transposed_convolutions_of_one_place():
    keras.utils.set_random_seed(0)
    decoder = PictureDecoder((7, 6, 5, 4, 3), 96)
    decoder.build((None, 9))
    for v in decoder.trainable_variables:
        v.assign(v + tf.random.normal(v.shape, stddev=0.05))
    codes = tf.random.normal([4, 9])
    with tf.GradientTape() as tape:
        pictures = decoder(codes)
        of_decoder = tape.gradient(tf.reduce_sum(pictures**2), decoder.trainable_variables)
    with tf.GradientTape() as tape:
        z = codes[:, tf.newaxis, tf.newaxis, :]
        for layer in decoder.deconvolutions[:-1]:
            z = tf.nn.leaky_relu(layer(z), decoder.leak)
        expected = tf.sigmoid(decoder.deconvolutions[-1](z))
        of_layers = tape.gradient(tf.reduce_sum(expected**2), decoder.trainable_variables)
    assert pictures.shape == (4, 96, 96, 3)
    np.testing.assert_allclose(pictures, expected, atol=1e-6)
    for ours, theirs in zip(of_decoder, of_layers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
