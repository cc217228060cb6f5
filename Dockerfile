# unmask on a CPU: docker build -t unmask . && docker run --rm --network none -v "$PWD:/work:ro" -v "$PWD/out:/out" unmask scan /work/adapter
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY scanner scanner
COPY probes probes
COPY reports reports
# PyTorch's own index has the builds without CUDA, a tenth of the size of PyPI's.
RUN python -m venv /opt/unmask \
    && /opt/unmask/bin/python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt \
       --extra-index-url https://download.pytorch.org/whl/cpu ".[behaviour,signing]"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/unmask /opt/unmask
RUN useradd --create-home --uid 10001 unmask && install -d -o unmask /work /out /cache
ENV PATH=/opt/unmask/bin:$PATH UNMASK_OUTPUT=/out UNMASK_CACHE=/cache HF_HUB_DISABLE_TELEMETRY=1
USER 10001
WORKDIR /work
ENTRYPOINT ["unmask"]
CMD ["--help"]
