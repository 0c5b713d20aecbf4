# The targets that people use; CI calls .ci/run.
GO ?= go
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSION ?=

.PHONY: build test race lint vuln interop crash bench ci clean

build: ## the binary, here
	$(GO) build -trimpath $(if $(VERSION),-ldflags "-X main.version=$(VERSION)") -o ossencfs ./cmd/ossencfs

test: ## everything that runs offline; some minutes
	$(GO) test ./...

race: ## the packages under the race detector
	$(GO) test -race -short ./keys/... ./cipher/... ./oss/... ./object/... ./cache/... ./fs/... ./emulator/... ./cmd/...

lint: ## format, vet and linters
	test -z "$$(gofmt -l .)"
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) -checks inherit,-SA1019 ./... # PKCS#1 v1.5 is the format of the SDKs
	$(GO) run $(GOLANGCI_LINT) run ./...

vuln: ## known weaknesses of what we depend on; needs vuln.go.dev
	$(GO) run $(GOVULNCHECK) ./...

interop: ## the official SDKs against the mount; needs PyPI and Maven Central
	test/interop/run

bench: ## fsbench on the mount and on gocryptfs; see test/bench/run for what it needs
	test/bench/run bench-results

ci: ## what CI does
	.ci/run

clean:
	rm -rf ossencfs bench-results
