# Generated from versions.yaml and images/ by `make render`: slim, supply packages. Do not edit.
# Its context: `./build.py --variant slim --supply packages --print bake` lays it out and prints the bake file that builds it.
ARG GVISOR_VERSION="20260622.0-46-g879cb2dc2"

FROM scratch AS base
ADD base.tar /

FROM base AS builder
# go1.26.11, and below modules/ what go.sum names: both were checked before they came here, and no step has a network.
ADD go.tar /
ENV PATH="/usr/local/go/bin:/usr/sbin:/usr/bin" \
    GOTOOLCHAIN="local" \
    GOPROXY="file:///modules" \
    GOSUMDB="off" \
    GOFLAGS="-mod=readonly -trimpath -buildvcs=false"

FROM builder AS gvisor
ARG GVISOR_VERSION
WORKDIR /src
COPY components/gvisor/go.mod components/gvisor/go.sum ./
RUN --network=none \
    --mount=type=bind,source=modules,target=/modules \
    --mount=type=cache,target=/root/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -o /out/usr/local/bin/runsc \
      -ldflags "-s -w -X gvisor.dev/gvisor/runsc/version.version=release-${GVISOR_VERSION}" \
      gvisor.dev/gvisor/runsc
# Not COPY --chmod: from BuildKit 0.21 on it gives the file's mode to the folders that it creates, too.
RUN --network=none --mount=type=bind,source=components/gvisor/drivers.json,target=/drivers.json \
    install -D --mode=0644 /drivers.json /out/usr/share/worker/drivers.json

FROM base AS worker
COPY --link --from=gvisor /out/ /
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL worker.drivers="535.129.03 535.183.06 535.247.01 535.261.03 535.274.02 535.288.01 535.309.01 550.90.12 570.124.06 570.133.20 570.172.08 570.195.03 580.65.06 580.105.08 580.126.09 580.126.20 580.159.03 580.159.04 590.48.01"
LABEL org.opencontainers.image.title="worker slim" \
      org.opencontainers.image.description="nvproxy only: GPU in gVisor with the fewest parts" \
      org.opencontainers.image.base.name="debian:trixie" \
      worker.gvisor-version="20260622.0-46-g879cb2dc2" \
      worker.supply="packages" \
      worker.variant="slim"
# The worker makes sandboxes: namespaces, mounts and devices are root's.
# hadolint ignore=DL3002
USER 0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/bin/sh"]
