FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/kfactor ./cmd/kfactor
# What the program needs of a system: certificates, time zones, and folders it may write to.
RUN mkdir -p /out/etc/ssl/certs /out/data /out/tmp \
	&& cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
	&& cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/etc/ \
	&& chmod 1777 /out/tmp && chown 65532:65532 /out/data

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
ENV ZONEINFO=/etc/zoneinfo.zip \
	KFACTOR_ADDR=0.0.0.0:8080 \
	KFACTOR_DATA_DIR=/data \
	KFACTOR_DATABASE_URL=sqlite:///data/kfactor.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/kfactor", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/kfactor"]
CMD ["serve"]
