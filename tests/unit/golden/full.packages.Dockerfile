# Generated from versions.yaml and images/ by `make render`: full, supply packages. Do not edit.
# Its context: `./build.py --variant full --supply packages --print bake` lays it out and prints the bake file that builds it.
ARG GVISOR_VERSION="20260622.0-46-g879cb2dc2"
ARG RUNC_VERSION="1.5.2"
ARG CRIU_VERSION="4.1.1"
ARG NVIDIA_CONTAINER_TOOLKIT_VERSION="1.20.1"
ARG CUDA_BASE_TAG="12.8.0-base-ubuntu22.04"

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

FROM builder AS cgo
ADD cgo.tar /

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

FROM cgo AS runc
ADD runc.tar /
WORKDIR /src
COPY components/runc/go.mod components/runc/go.sum ./
RUN --network=none \
    --mount=type=bind,source=modules,target=/modules \
    --mount=type=cache,target=/root/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 go build -o /out/usr/local/sbin/runc -tags "seccomp,netgo,osusergo" \
      -ldflags "-s -w -linkmode external -extldflags -static" \
      github.com/opencontainers/runc

FROM scratch AS criu
ADD criu.tar /out/

FROM cgo AS nvidia-container-toolkit
ARG NVIDIA_CONTAINER_TOOLKIT_VERSION
WORKDIR /src
COPY components/nvidia-container-toolkit/go.mod components/nvidia-container-toolkit/go.sum ./
RUN --network=none \
    --mount=type=bind,source=modules,target=/modules \
    --mount=type=cache,target=/root/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    mkdir -p /out/usr/bin /out/etc/nvidia-container-runtime \
    && CGO_ENABLED=1 CGO_LDFLAGS_ALLOW="-Wl,--unresolved-symbols=ignore-in-object-files" go build -o /out/usr/bin/ \
      -ldflags "-s -w -X github.com/NVIDIA/nvidia-container-toolkit/internal/info.version=${NVIDIA_CONTAINER_TOOLKIT_VERSION} -extldflags '-Wl,--export-dynamic -Wl,--unresolved-symbols=ignore-in-object-files -Wl,-z,lazy'" \
      github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-cdi-hook \
      github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime \
      github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime-hook \
      github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk \
    && /out/usr/bin/nvidia-ctk --quiet config --set nvidia-container-runtime.mode=cdi --output /out/etc/nvidia-container-runtime/config.toml

FROM base AS cuda-wheel
ADD cuda-runtime.tar /
WORKDIR /cuda
RUN --network=none --mount=type=bind,source=wheels,target=/wheels \
    unzip -j "/wheels/nvidia-cuda-runtime-cu12-12.8.57.whl" "nvidia/cuda_runtime/lib/libcudart.so.12"

# The cache of libraries is written here, where only the base and this library are.
FROM base AS cuda-runtime
COPY --from=cuda-wheel /cuda/libcudart.so.12 /out/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.12.8.57
RUN --network=none ln -s "libcudart.so.12.8.57" /out/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.12 \
    && ln -s targets/x86_64-linux/lib /out/usr/local/cuda-12.8/lib64 \
    && ln -s cuda-12.8 /out/usr/local/cuda \
    && mkdir -p /out/etc/ld.so.conf.d \
    && echo /usr/local/cuda/targets/x86_64-linux/lib > /out/etc/ld.so.conf.d/000_cuda.conf \
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
      worker.gvisor-version="20260622.0-46-g879cb2dc2" \
      worker.runc-version="1.5.2" \
      worker.criu-version="4.1.1" \
      worker.nvidia-container-toolkit-version="1.20.1" \
      worker.cuda-base-tag="12.8.0-base-ubuntu22.04" \
      worker.supply="packages" \
      worker.variant="full"
# The worker makes sandboxes: namespaces, mounts and devices are root's.
# hadolint ignore=DL3002
USER 0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/bin/sh"]
