# One image per half, `beam` and `trainer`, each without the other's engine; `make image` builds both.
FROM python:3.11-slim-bookworm AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /src

FROM base AS wheel
COPY requirements/build.txt requirements/
RUN pip install --require-hashes --requirement requirements/build.txt
COPY LICENSE README.md pyproject.toml setup.py ./
COPY beam_pipelines beam_pipelines
COPY trainer trainer
COPY pmc2vec pmc2vec
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM base AS beam-packages
COPY requirements/beam.txt requirements/
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/pmc2vec \
    && /opt/pmc2vec/bin/pip install --require-hashes --requirement requirements/beam.txt \
    && /opt/pmc2vec/bin/pip install --no-deps /wheels/*.whl

FROM base AS trainer-packages
COPY requirements/trainer.txt requirements/
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/pmc2vec \
    && /opt/pmc2vec/bin/pip install --require-hashes --requirement requirements/trainer.txt \
    && /opt/pmc2vec/bin/pip install --no-deps /wheels/*.whl

# A number, so that Kubernetes can see that it is not root.
FROM base AS runtime
ENV HOME=/tmp \
    PATH=/opt/pmc2vec/bin:$PATH
WORKDIR /data
USER 10001:10001
HEALTHCHECK --interval=1m --timeout=20s CMD ["pmc2vec", "--version"]
ENTRYPOINT ["pmc2vec"]
CMD ["--help"]

FROM runtime AS beam
COPY --from=beam-packages /opt/pmc2vec /opt/pmc2vec

FROM runtime AS trainer
COPY --from=trainer-packages /opt/pmc2vec /opt/pmc2vec
