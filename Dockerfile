# One image for every process of Tidings; docker-compose.yml says which runs what.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/tidings
ENV PATH=/opt/tidings/bin:$PATH
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
# The build tool's pin stands in the development lock alone; everything is checked against its hash.
RUN awk '/^[^ ]/ { wanted = /^setuptools==/ } wanted' requirements-dev.txt > requirements-build.txt \
    && pip install --require-hashes --only-binary :all: -r requirements.txt -r requirements-build.txt
COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY events events
COPY tasks tasks
COPY web web
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin tidings
COPY --from=build /opt/tidings /opt/tidings
ENV PATH=/opt/tidings/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/tidings
USER tidings
CMD ["tidings", "--help"]
