# One image for every service; what a container does is its command.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/sluice \
    && pip --python /opt/sluice/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement requirements.lock
COPY .ci/scanner .ci/scanner
COPY pipeline pipeline
RUN sh .ci/scanner

FROM python:3.13-slim
# Nothing that installs: what runs here is what was built.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip
# Numbers, so that an orchestrator can see that it is not root; the state folder is theirs before a volume covers it.
RUN groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/sluice sluice \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/sluice
COPY --from=build /opt/sluice /opt/sluice
WORKDIR /app
COPY celeryconfig.py flowerconfig.py ./
COPY --from=build /pipeline pipeline
COPY db db
COPY tasks tasks
RUN /opt/sluice/bin/python -m compileall -q /app
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SLUICE_STATE_DIR=/var/lib/sluice
USER 10001:10001
CMD ["python", "-m", "pipeline", "--help"]
