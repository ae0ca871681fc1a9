# Two images from one file:
#   docker build --target web    -t modelguild-web .      pages and protocols, no torch
#   docker build --target worker -t modelguild-worker .   jobs on models and data
FROM python:3.11-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home modelguild \
    && install --directory --owner modelguild /data
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MODELGUILD_DATA=/data HOST=0.0.0.0 PORT=8000
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE manage.py ./
COPY config config
COPY contributions contributions
COPY evaluation evaluation
COPY hub hub
COPY ml_core ml_core
ENTRYPOINT ["tini", "--"]

FROM base AS web
RUN pip install -c constraints.txt -e '.[web]'
USER modelguild
EXPOSE 8000
HEALTHCHECK --start-period=20s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"
CMD ["gunicorn", "-c", "python:config.gunicorn", "config.wsgi:application"]

FROM base AS worker
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*
RUN pip install -c constraints.txt -e '.[worker]'
USER modelguild
CMD ["celery", "-A", "config", "worker", "--queues", "hub,evaluate", "--concurrency", "2"]
