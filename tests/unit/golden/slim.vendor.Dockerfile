# Generated from versions.yaml and images/ by `make render`: slim, supply vendor. Do not edit.
# Its context: `./build.py --variant slim --supply vendor --print bake` lays it out and prints the bake file that builds it.
ARG GVISOR_VERSION="20260622.0"

FROM debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132 AS downloads
WORKDIR /downloads/debian
# The archive is signed; the suite is the pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends --download-only --option Dir::Cache::archives=/downloads/debian \
       base-files base-passwd ca-certificates coreutils dash grep iproute2 iptables libc-bin mount procps sed tini \
    && rm -rf /downloads/debian/partial /downloads/debian/lock /var/lib/apt/lists
WORKDIR /downloads

ARG GVISOR_VERSION
ADD https://storage.googleapis.com/gvisor/releases/release/${GVISOR_VERSION}/x86_64/runsc ./gvisor/
RUN echo "6df95d09363dbd9ee5d5c889c1549b457e1783b039ff60a8f9f16f8c94c774a2ca2eef5b1c370e36b863f6b0407b53ba3c69051c6ef051253843dabf89a6de4e  gvisor/runsc" | sha512sum --check --strict
FROM debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132 AS base
RUN --mount=type=bind,from=downloads,source=/downloads/debian,target=/debian \
    dpkg --install /debian/*.deb \
    && rm -rf /var/cache/debconf /var/log/dpkg.log /var/log/alternatives.log \
    && mkdir -p /run/gvisor

FROM base AS gvisor
# Not COPY --chmod: from BuildKit 0.21 on it gives the file's mode to the folders that it creates, too.
RUN --network=none \
    --mount=type=bind,from=downloads,source=/downloads/gvisor/runsc,target=/runsc \
    --mount=type=bind,source=components/gvisor/drivers.json,target=/drivers.json \
    install -D --mode=0755 /runsc /out/usr/local/bin/runsc \
    && install -D --mode=0644 /drivers.json /out/usr/share/worker/drivers.json

FROM base AS worker
COPY --link --from=gvisor /out/ /
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL worker.drivers="535.129.03 535.183.06 535.247.01 535.261.03 535.274.02 535.288.01 535.309.01 550.90.12 570.124.06 570.133.20 570.172.08 570.195.03 580.65.06 580.105.08 580.126.09 580.126.20 580.159.03 580.159.04 590.48.01"
LABEL org.opencontainers.image.title="worker slim" \
      org.opencontainers.image.description="nvproxy only: GPU in gVisor with the fewest parts" \
      org.opencontainers.image.base.name="debian:trixie" \
      worker.gvisor-version="20260622.0" \
      worker.supply="vendor" \
      worker.variant="slim"
# The worker makes sandboxes: namespaces, mounts and devices are root's.
# hadolint ignore=DL3002
USER 0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/bin/sh"]
