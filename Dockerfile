# The server of canthus with its browser page, without a build tool in the last stage.
#   docker build -t canthus . && docker run --rm -p 8000:8000 --read-only canthus
FROM python:3.12-slim AS wheel
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE LICENSE-WEIGHTS.md ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[serve,heif]" && rm -r /wheels \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin canthus
USER 10001
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["canthus", "serve", "--host", "0.0.0.0", "--port", "8000"]
