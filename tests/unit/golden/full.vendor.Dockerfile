# Generated from versions.yaml and images/ by `make render`: full, supply vendor. Do not edit.
# Its context: `./build.py --variant full --supply vendor --print bake` lays it out and prints the bake file that builds it.
ARG GVISOR_VERSION="20260622.0"
ARG RUNC_VERSION="1.5.2"
ARG CRIU_VERSION="4.1.1"
ARG NVIDIA_CONTAINER_TOOLKIT_VERSION="1.20.1"
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
ARG RUNC_VERSION
ADD --checksum=sha256:599f6f94ff8c5057241eff0d54c3c74f95c34935b6457b33fe545defc61e9488 https://github.com/opencontainers/runc/releases/download/v${RUNC_VERSION}/runc.amd64 ./runc/
ARG CRIU_VERSION
ADD --checksum=sha256:f80a66cb3726bb2116266d4759ce3bcbfab7abdb6b6d430bf20dd41911717afe http://deb.debian.org/debian/pool/main/c/criu/criu_${CRIU_VERSION}.orig.tar.xz ./criu/criu.tar.xz
ARG NVIDIA_CONTAINER_TOOLKIT_VERSION
ADD --checksum=sha256:c880576d6cf75a48e5027a871bac70fd0421ab07d2b55f30877b21f1c87959c9 https://nvidia.github.io/libnvidia-container/gpgkey ./nvidia-container-toolkit/key.asc
# The key is pinned by its digest; apt resolves the four packages to different versions unless all are named.
RUN echo "deb [signed-by=/downloads/nvidia-container-toolkit/key.asc] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /" \
      > /etc/apt/sources.list.d/nvidia.list \
    && apt-get update \
    && cd nvidia-container-toolkit \
    && for name in nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1; do \
         apt-get download "${name}=${NVIDIA_CONTAINER_TOOLKIT_VERSION}-1"; \
       done \
    && rm -rf /var/lib/apt/lists
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

FROM base AS runc
RUN --network=none --mount=type=bind,from=downloads,source=/downloads/runc/runc.amd64,target=/runc \
    install -D --mode=0755 /runc /out/usr/local/sbin/runc

FROM debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132 AS criu
# The archive is signed; the suite is the pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential git libbsd-dev libcap-dev libgnutls28-dev libnet1-dev libnftables-dev \
       libnl-3-dev libprotobuf-c-dev libprotobuf-dev pkgconf protobuf-c-compiler protobuf-compiler python3 uuid-dev xz-utils \
    && rm -rf /var/lib/apt/lists
WORKDIR /src
RUN --mount=type=bind,from=downloads,source=/downloads/criu,target=/criu \
    tar --extract --strip-components=1 --file /criu/criu.tar.xz \
    && make --jobs="$(nproc)" install-criu install-cuda_plugin PREFIX=/usr DESTDIR=/out

FROM base AS nvidia-container-toolkit
RUN --mount=type=bind,from=downloads,source=/downloads/nvidia-container-toolkit,target=/packages \
    mkdir -p /out/etc/nvidia-container-runtime \
    && for package in /packages/*.deb; do dpkg-deb --extract "${package}" /out; done \
    && /out/usr/bin/nvidia-ctk --quiet config --set nvidia-container-runtime.mode=cdi --output /out/etc/nvidia-container-runtime/config.toml

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
COPY --link --from=runc /out/ /
COPY --link --from=criu /out/ /
COPY --link --from=nvidia-container-toolkit /out/ /
COPY --link --from=cuda-runtime /out/ /
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL worker.drivers="535.129.03 535.183.06 535.247.01 535.261.03 535.274.02 535.288.01 535.309.01 550.90.12 570.124.06 570.133.20 570.172.08 570.195.03 580.65.06 580.105.08 580.126.09 580.126.20 580.159.03 580.159.04 590.48.01"
ENV NVIDIA_VISIBLE_DEVICES="all" \
    NVIDIA_DRIVER_CAPABILITIES="compute,utility"
LABEL org.opencontainers.image.title="worker full" \
      org.opencontainers.image.description="also GPU in runc, and checkpoints with CRIU" \
      org.opencontainers.image.base.name="debian:trixie" \
      worker.gvisor-version="20260622.0" \
      worker.runc-version="1.5.2" \
      worker.criu-version="4.1.1" \
      worker.nvidia-container-toolkit-version="1.20.1" \
      worker.cuda-base-tag="12.8.0-base-ubuntu22.04" \
      worker.supply="vendor" \
      worker.variant="full"
# The worker makes sandboxes: namespaces, mounts and devices are root's.
# hadolint ignore=DL3002
USER 0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/bin/sh"]
