# One image for every process of Tidings; docker-compose.yml defines the command of each service.

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/tidings
ENV PATH=/opt/tidings/bin:$PATH
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
# setuptools is pinned only in the development lock, so its lines are taken from there.
RUN awk '/^[^ ]/ { wanted = /^setuptools==/ } wanted' requirements-dev.txt > requirements-build.txt \
    && pip install --require-hashes --only-binary :all: -r requirements.txt -r requirements-build.txt
COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY events events
COPY tasks tasks
COPY tidings tidings
COPY web web
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin tidings
COPY --from=build /opt/tidings /opt/tidings
ENV PATH=/opt/tidings/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/tidings
USER tidings
CMD ["tidings", "--help"]
