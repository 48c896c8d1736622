"""Facial action unit intensities with honest uncertainty: DeepCoder in TensorFlow.

Importing this package reads no flags, no files and no devices, and loads no TensorFlow; the rooms
(`deepcoder_tf.coders`, `deepcoder_tf.likelihoods`, ...) are imported by name.

Symbols, as the papers write them and as the code names them (MATRICES upper case):

| symbol   | code            | shape        | meaning                                             |
|----------|-----------------|--------------|-----------------------------------------------------|
| X        | `images`        | [N, H, W, C] | aligned, equalised face crops                       |
| Z0       | `Z0`            | [N, D0]      | latent of the top (convolutional) coder             |
| Z1       | `Z1`            | [N, D1]      | latent of the bottom (VO-GPAE) coder                |
| M, S     | `M`, `S`        | [N, D1]      | variational parameters of the VO-GPAE (Eq. 16)      |
| k0, σr²  | `encoder_*`     |              | kernel and noise of the GP encoder Z0 -> Z1 (Eq. 14)|
| k1, σv²  | `decoder_*`     |              | kernel and noise of the GP decoder Z1 -> Z0 (Eq. 13)|
| C0, C1   | `C0`, `C1`      | [N, N]       | k0(Z0, Z0) + σr² I and k1(Z1, Z1) + σv² I           |
| P0, P1   | `P0`, `P1`      | [N, N]       | their inverses                                      |
| w, γ     | `W`, `cutpoints`| [Q,D1],[Q,5] | ordinal weights and cut-points (Eq. 18-20)          |
| y        | `labels`        | [N, Q]       | levels 0..5, -1 where nobody annotated              |
| α, β     | `kl_weight`     |              | warm-up weights (Eq. 21, 22)                        |
| p̃        | `prior`         |              | tied prior of Z0 (Eq. 4)                            |

Source: Tran, Walecki, Rudovic, Eleftheriadis, Schuller, Pantic: DeepCoder: Semi-parametric
Variational Autoencoders for Automatic Facial Action Coding, ICCV 2017.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
