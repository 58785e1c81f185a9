# make help lists what there is.

GO ?= go
PKG ?= ./...
OUT ?= bin/kfactor
SEED ?= 1
SOAK ?= 10m
EVENTS ?= 500000

# What a server sets for itself (cmd/kfactor/serve.go), so that benchmarks collect garbage as it does.
SERVE_GOGC = 300

GOFUMPT  = mvdan.cc/gofumpt@v0.12.0
GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The race detector needs a C compiler; nothing else does.
CC_FOUND := $(shell command -v gcc || command -v clang)
ifneq ($(CC_FOUND),)
RACE = -race
export CGO_ENABLED = 1
else
RACE =
export CGO_ENABLED = 0
endif

# The runner and the tools are plain Go whatever the tests are built with.
run-tool = CGO_ENABLED=0 $(GO) run

.DEFAULT_GOAL := help
.PHONY: help build test model bench bench-growth bench-poster fault soak lint format generate

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The commit is stamped here, so that a build without git, or in a folder that git does not trust, goes through.
COMMIT = $(shell c=$$(git rev-parse --short HEAD 2>/dev/null) && { git diff --quiet HEAD || c="$$c with changes"; echo "$$c"; })

build: ## the binary, at $(OUT)
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags='-s -w -X "main.stamp=$(COMMIT)"' -o $(OUT) ./cmd/kfactor

test: ## every test, on both databases and both kinds of Redis (SERVICES=none: the embedded part alone; PKG=./engine/... some)
	@$(if $(RACE),,echo 'make: no C compiler, so the tests run without the race detector' >&2)
	@mkdir -p .build && CGO_ENABLED=0 $(GO) build -o .build/services ./internal/services/run
	@.build/services -- $(GO) test $(RACE) -timeout 15m $(PKG)

model: ## a million random events, held against a second, naive telling of the rules; 10 to 30 seconds
	@mkdir -p .build
	@CGO_ENABLED=0 $(GO) test -count=1 -v -timeout 5m -run '^Test(Model|AnyOrderEndsInTheSameCredit)$$' ./engine/step -rapid.checks=1000 \
		>.build/model.log || { cat .build/model.log; exit 1; }
	@grep -h compared .build/model.log

bench: ## the benchmarks of the engine and of the HTTP edge, on MariaDB with durable commits and a real Redis, and embedded
	@mkdir -p .build && CGO_ENABLED=0 $(GO) build -o .build/services ./internal/services/run
	@CGO_ENABLED=0 GOGC=$(SERVE_GOGC) .build/services -- $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m -p 1 ./engine/... ./api/...

bench-growth: ## what an event, a report and a replay cost as one campaign grows (EVENTS=5000000: an hour)
	@mkdir -p .build && CGO_ENABLED=0 $(GO) build -o .build/services ./internal/services/run
	@CGO_ENABLED=0 GOGC=$(SERVE_GOGC) EVENTS=$(EVENTS) .build/services -- $(GO) test -run '^$$' -bench Growth -benchtime 1x -timeout 5h ./engine

bench-poster: ## posters per CPU second beside the same without splicing and beside gg, on two photos, and over HTTP; two minutes
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench Posters -benchtime 1x -timeout 10m ./poster
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench PosterHTTP/Embedded -benchtime 1x -timeout 10m ./api

fault: ## every fault on real processes: killed, cut off, starved; ends with a table (SEED=n: other moments)
	CGO_ENABLED=0 $(GO) test -count=1 -v -timeout 40m ./engine/faulttest -args -sweep -seed $(SEED)

soak: ## everything at once on a real server for SOAK=10m on each kind of store: memory stays flat, nothing is lost
	CGO_ENABLED=0 $(GO) test -count=1 -v -timeout 3h -run '^TestSoak$$' ./engine/faulttest -args -soak $(SOAK) -seed $(SEED)

lint: ## formatting, go vet and golangci-lint
	@unformatted=$$($(run-tool) $(GOFUMPT) -l .) && if [ -n "$$unformatted" ]; then \
		echo "not formatted as gofumpt does (make format):" >&2; echo "$$unformatted" >&2; exit 1; fi
	CGO_ENABLED=0 $(GO) vet ./...
	$(run-tool) $(GOLANGCI) run ./...

format: ## format all Go files
	$(run-tool) $(GOFUMPT) -l -w .

generate: ## what is generated from other files
	CGO_ENABLED=0 $(GO) generate ./...
