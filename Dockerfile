# Dagster's code location, daemon and webserver on Azure: one image, three commands (infra/bicep/modules/dagster.bicep).
# docs/delivery.md says how it is built, and scripts/prove-dockerfile carries these steps out without Docker.

# The tag is for people, the digest is what is taken. Renew both together: docker buildx imagetools inspect python:<tag>
ARG PYTHON=python:3.12.13-slim-bookworm@sha256:d50fb7611f86d04a3b0471b46d7557818d88983fc3136726336b2a4c657aa30b


# What others made: the large part, which stays the same until a pin changes.
FROM ${PYTHON} AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
ARG EXTRAS=alerts,azure,databricks,lineage,postgresql,production
WORKDIR /src
RUN python -m venv --without-pip /opt/venv
COPY constraints/ constraints/
COPY pyproject.toml scripts/requirements ./
# Ready-made wheels only, but for two that have none and need no compiler. One is pyspark: dagster-databricks asks for it
# and never starts it, and there is no Java here, so that Spark's own files, nearly all of it, go again.
RUN python requirements "$EXTRAS" > requirements.txt \
    && python -m pip --python /opt/venv/bin/python install --only-binary :all: --no-binary pyspark,thrift \
        --constraint "$(python -c 'import sys; print("constraints/py%d%d.txt" % sys.version_info[:2])')" \
        --requirement requirements.txt \
    && rm -rf /opt/venv/lib/python3*/site-packages/pyspark/jars


# What we made: the wheel, installed where it will be, apart from the rest.
FROM dependencies AS project
COPY setup.py README.md LICENSE dagster.yaml ./
COPY dagster_lake/ dagster_lake/
COPY generators/ generators/
COPY dbt/ dbt/
RUN python -m pip wheel . --no-deps --quiet --wheel-dir dist \
    && python -m pip --python /opt/venv/bin/python install --no-deps --root /project --prefix /opt/venv dist/*.whl


FROM ${PYTHON}
LABEL org.opencontainers.image.title="dagster-lake" \
      org.opencontainers.image.description="Dagster's code location, daemon and webserver of the lake" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed in here any more. Whoever runs is nobody else, and owns one folder: what is written goes there,
# to the home or to /tmp, so that the file system can be mounted read-only with these on top.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin lake \
    && install --directory --owner lake --group lake /opt/lake/.dagster
WORKDIR /opt/lake
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/lake/deploy/azure \
    DAGSTER_DISABLE_TELEMETRY=1 \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false
COPY --from=dependencies /opt/venv/ /opt/venv/
COPY --from=project /project/ /
COPY deploy/ deploy/
USER 10001
# Loads everything once: what does not load is no image, and dbt's project is then parsed before a container starts.
RUN python -c 'import dagster, dagster_lake.definitions as lake; dagster.Definitions.validate_loadable(lake.defs)'
EXPOSE 3000 4000
CMD ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", "4000", "--module-name", "dagster_lake.definitions", "--location-name", "dagster_lake", "--log-format", "json"]
