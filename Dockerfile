# The program in a container: python server.py as a user without rights, with the model made beforehand, so that it needs no network.
#
#   docker build -t dxqa .                              (with a network; PIP_ARGS as for make, for the CPU packages of PyTorch)
#   docker save dxqa | gzip > dxqa-image.tar.gz         (carried to the town hall's server, there: docker load)
#
# How it is run is compose.yaml's matter. docs/installation.md says more.

FROM python:3.11-slim-bookworm AS made
ARG PIP_ARGS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
# the packages first: they change less often than the program
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /requirements.txt \
    && python -m venv /venv \
    && /venv/bin/python -m pip install -q ${PIP_ARGS} -r /requirements.txt
# .dockerignore says what the program consists of
COPY . ./
# the models of the server, and the proof that they answer, on the samples
ENV DXQA_MODELS=/models
RUN /venv/bin/python deploy/trial.py && rm -rf documents var


FROM python:3.11-slim-bookworm
COPY --from=made /venv /venv
COPY --from=made /models /models
COPY --from=made /app /app
# what a new volume begins with: folders that the server may write to
RUN groupadd --gid 10001 dxqa \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin dxqa \
    && install -d -o 10001 -g 10001 /app/documents /app/var
ENV DXQA_MODELS=/models DXQA_HOST=0.0.0.0 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
VOLUME ["/app/documents", "/app/var"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=3 \
    CMD ["/venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=8)"]
CMD ["/venv/bin/python", "server.py"]
