# docker build -t scsa-studio .
# docker run -p 127.0.0.1:7860:7860 -v scsa-data:/data scsa-studio
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm

# Where torch's wheels come from: these compute on the processor and take a sixth of the space.
# For an NVIDIA GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126, and run with --gpus all.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 1000 studio \
    && install --directory --owner=studio --group=studio /data /app
WORKDIR /app

# Packages first: a change of the app does not install them again.
COPY requirements.txt ./
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "torch>=2.6" "torchvision>=0.21" \
    && pip install --no-cache-dir --requirement requirements.txt

COPY LICENSE app.py ./
COPY assets/examples assets/examples
COPY checkpoints checkpoints
COPY scsa_core scsa_core
COPY demo demo

# A page for strangers: they fetch no weights onto this machine, and nothing that tells of their pictures stays on its disk.
ENV GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_TEMP_DIR=/tmp/scsa \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SCSA_CACHE=off \
    SCSA_DATA=/data \
    SCSA_FETCH=0

USER 1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import http.client, json, sys; c = http.client.HTTPConnection('127.0.0.1', 7860, timeout=8); c.request('GET', '/healthz'); sys.exit(not json.load(c.getresponse())['ok'])"]
CMD ["python", "app.py", "--no-browser", "--host", "0.0.0.0", "--port", "7860"]
