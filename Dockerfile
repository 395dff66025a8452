# The images of pmc2vec, each a target; docs/kubernetes.md says where each is used.
#
#   beam         the Beam half: sample, build, inspect; and a worker pool beside Flink
#   trainer      the other half, on the CPU: train, export, TensorBoard, neighbours
#   trainer-gpu  the same with CUDA
#   full         both halves, for what spans them: demo, update
#   beam-worker  beam, and Beam's boot program: a custom container for Dataflow, Flink or Spark
#
# Code is the last layer of each and the pins the one before, so that a change of code moves little.
# With SOURCE_DATE_EPOCH given, equal sources make equal files: wheels take their times from it, and
# compiled modules carry a hash instead of a time.

# Pin it to a digest where your registry has one: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
ARG BEAM_SDK_IMAGE=apache/beam_python3.11_sdk:2.77.0

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Pip and the build backend stay here. No environment that leaves has pip in it, but for beam's: a
# Beam worker may be sent packages to install.
FROM base AS pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_REQUIRE_VIRTUALENV=1 \
    PATH=/opt/pip/bin:$PATH
WORKDIR /src
COPY requirements/build.txt requirements/
RUN python -m venv /opt/pip \
    && pip install --require-hashes --requirement requirements/build.txt \
    && python -m venv --without-pip /opt/pmc2vec

FROM pip AS code
ARG SOURCE_DATE_EPOCH
COPY LICENSE README.md pyproject.toml setup.py ./
COPY beam_pipelines beam_pipelines
COPY trainer trainer
COPY pmc2vec pmc2vec
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/pmc2vec/bin/python install --no-deps /wheels/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/pmc2vec/lib

FROM pip AS beam-packages
COPY requirements/beam.txt requirements/
RUN /opt/pmc2vec/bin/python -m ensurepip \
    && pip --python /opt/pmc2vec/bin/python install \
       --require-hashes --requirement requirements/beam.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/pmc2vec/lib

# TensorFlow's headers are a fifth of it, and for those who compile against it.
FROM pip AS trainer-packages
COPY requirements/trainer.txt requirements/
RUN pip --python /opt/pmc2vec/bin/python install \
       --require-hashes --requirement requirements/trainer.txt \
    && rm -r /opt/pmc2vec/lib/python3.11/site-packages/tensorflow/include \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/pmc2vec/lib

FROM trainer-packages AS full-packages
COPY requirements/beam.txt requirements/
RUN pip --python /opt/pmc2vec/bin/python install \
       --require-hashes --requirement requirements/beam.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/pmc2vec/lib

FROM trainer-packages AS trainer-gpu-packages
COPY requirements/gpu.txt requirements/
RUN pip --python /opt/pmc2vec/bin/python install \
       --require-hashes --requirement requirements/gpu.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/pmc2vec/lib

# A user by number, so that Kubernetes can see that it is not root. Nothing but /tmp and what is
# mounted needs to be written.
FROM base AS runtime
# Nothing here may become root, such as by su or mount of the base image.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV HOME=/tmp \
    PATH=/opt/pmc2vec/bin:$PATH
WORKDIR /data
USER 10001:10001
HEALTHCHECK --interval=1m --timeout=20s CMD ["pmc2vec", "--version"]
ENTRYPOINT ["pmc2vec"]
CMD ["--help"]

FROM runtime AS beam
COPY --from=beam-packages /opt/pmc2vec /opt/pmc2vec
COPY --from=code /opt/pmc2vec /opt/pmc2vec

FROM runtime AS trainer
COPY --from=trainer-packages /opt/pmc2vec /opt/pmc2vec
COPY --from=code /opt/pmc2vec /opt/pmc2vec

FROM runtime AS full
COPY --from=full-packages /opt/pmc2vec /opt/pmc2vec
COPY --from=code /opt/pmc2vec /opt/pmc2vec

FROM runtime AS trainer-gpu
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=trainer-gpu-packages /opt/pmc2vec /opt/pmc2vec
COPY --from=code /opt/pmc2vec /opt/pmc2vec

# The engine starts the container with boot, which starts the worker in the Python that is there.
# Boot comes from Beam's own image, which is why this target is the only one that needs a registry
# with it; a worker pool (EXTERNAL) needs no boot.
FROM ${BEAM_SDK_IMAGE} AS beam-sdk

FROM beam AS beam-worker
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
COPY --from=beam-sdk /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]
CMD []
