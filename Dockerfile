# syntax=docker/dockerfile:1
# One image for both daemons:
#   docker build --build-arg VERSION=0.1.0 --tag postwatch:0.1.0 .
#   docker run --read-only --volume ./exporter.yml:/etc/postwatch/exporter.yml:ro postwatch:0.1.0
# `make image` does the first, with the version of pyproject.toml and the commit. What is under the base's tag changes
# with its security updates; for the same bytes again, give a digest: --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/runtime.txt requirements/demo.txt requirements/
RUN python -m venv /opt/postwatch \
 && /opt/postwatch/bin/python -m pip install --require-hashes -r requirements/runtime.txt
# What the wheel is built with is locked too: it is among the demo's.
RUN python -m venv /opt/demo \
 && /opt/demo/bin/python -m pip install --require-hashes -r requirements/demo.txt
COPY pyproject.toml README.md LICENSE ./
COPY chassis chassis
COPY exporter exporter
COPY alerter alerter
COPY demo demo
RUN /opt/demo/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/postwatch/bin/python -m pip install --no-deps /wheels/*.whl \
 && /opt/demo/bin/python -m pip install --no-deps /wheels/*.whl \
 && /opt/postwatch/bin/python -m pip uninstall --yes pip
RUN install --directory --owner=65532 --group=65532 --mode=0750 /state

# The demo's platform, for deploy/compose.yaml.
FROM ${BASE} AS demo
ENV PATH=/opt/demo/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/demo /opt/demo
USER 65532:65532
CMD ["postwatch-demo", "--help"]

FROM ${BASE} AS postwatch
ARG BASE
ARG VERSION
ARG REVISION=""
LABEL org.opencontainers.image.title="Postwatch" \
      org.opencontainers.image.description="Watches job queues on PostgreSQL and Redis, and sending reputation, into Prometheus; gets the right person told." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The Postwatch developers" \
      org.opencontainers.image.base.name="${BASE}"
ENV PATH=/opt/postwatch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    POSTWATCH_HEALTH_URL=http://127.0.0.1:9797/healthz
COPY --from=build /opt/postwatch /opt/postwatch
COPY --from=build --chown=65532:65532 /state /var/lib/postwatch
USER 65532:65532
EXPOSE 9797 9798
# No shell: the command's own interpreter asks. For the alerter the URL is http://127.0.0.1:9798/healthz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['POSTWATCH_HEALTH_URL'], timeout=4)"]
CMD ["postwatch-exporter", "run", "--config", "/etc/postwatch/exporter.yml"]
