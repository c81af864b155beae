# Generated from versions.yaml and images/ by `make render`: full, supply vendor. Do not edit.
ARG GVISOR_VERSION="20260622.0"
ARG CUDA_BASE_TAG="12.8.0-base-ubuntu22.04"

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
COPY --from=downloads --chmod=0755 /downloads/gvisor/runsc /out/usr/local/bin/runsc

FROM nvidia/cuda:12.8.0-base-ubuntu22.04@sha256:12242992c121f6cab0ca11bccbaaf757db893b3065d7db74b933e59f321b2cf4 AS cuda-vendor

FROM base AS cuda-runtime
COPY --from=cuda-vendor /usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.* /out/usr/local/cuda-12.8/targets/x86_64-linux/lib/
COPY --from=cuda-vendor /etc/ld.so.conf.d/ /out/etc/ld.so.conf.d/
RUN ln -s targets/x86_64-linux/lib /out/usr/local/cuda-12.8/lib64 \
    && ln -s cuda-12.8 /out/usr/local/cuda \
    && cp -a /out/usr/local/. /usr/local/ && cp -a /out/etc/. /etc/ \
    && ldconfig -X && cp /etc/ld.so.cache /out/etc/ld.so.cache

FROM base AS worker
COPY --link --from=gvisor /out/ /
COPY --link --from=cuda-runtime /out/ /
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV NVIDIA_VISIBLE_DEVICES="all" \
    NVIDIA_DRIVER_CAPABILITIES="compute,utility"
LABEL org.opencontainers.image.title="worker full" \
      org.opencontainers.image.description="also GPU in runc, and checkpoints with CRIU" \
      org.opencontainers.image.base.name="debian:trixie" \
      worker.gvisor-version="20260622.0" \
      worker.cuda-base-tag="12.8.0-base-ubuntu22.04" \
      worker.supply="vendor" \
      worker.variant="full"
# The worker makes sandboxes: namespaces, mounts and devices are root's.
# hadolint ignore=DL3002
USER 0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/bin/sh"]
