# The targets that people use; CI calls .ci/run.
GO ?= go
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSION ?=

.PHONY: build test race fuzz lint vuln interop crash scenarios powercut space model two mutants survive death bench ci clean

build: ## the binary, here
	$(GO) build -trimpath $(if $(VERSION),-ldflags "-X main.version=$(VERSION)") -o ossencfs ./cmd/ossencfs

test: ## everything that runs offline; some minutes
	$(GO) test ./...
	$(GO) -C test/interop test ./...

race: ## the packages under the race detector
	$(GO) test -race -short ./keys/... ./cipher/... ./oss/... ./object/... ./cache/... ./fs/... ./emulator/... ./cmd/...

fuzz: ## every fuzz target for a minute; OSSENCFS_CI_FUZZTIME=SECONDS for another time
	test/fuzz/run

lint: ## format, vet and linters
	test -z "$$(gofmt -l .)"
	$(GO) vet ./...
	$(GO) -C test/interop vet -tags interop ./...
	$(GO) run $(STATICCHECK) -checks inherit,-SA1019 ./... # PKCS#1 v1.5 is the format of the SDKs
	cd test/interop && $(GO) run $(STATICCHECK) -checks inherit,-SA1019 -tags interop ./...
	$(GO) run $(GOLANGCI_LINT) run ./...
	cd test/interop && $(GO) run $(GOLANGCI_LINT) run --build-tags interop ./...

vuln: ## known weaknesses of what we depend on; needs a module proxy or vuln.go.dev
	db=$$(test/vuln/list) && $(GO) run $(GOVULNCHECK) -db "$$db" ./...

interop: ## the official SDKs against the mount; needs PyPI and Maven Central
	test/interop/run

model: ## 100,000 random steps against the reference model; OSSENCFS_MODEL_STEPS and OSSENCFS_MODEL_SEED for others
	OSSENCFS_MODEL_STEPS=$${OSSENCFS_MODEL_STEPS:-100000} $(GO) test -count=1 -timeout 4h -v -run 'Model|Killed|Replacement' ./test/model

two: ## 10,000 edits through two mounts for each kind of bucket and lock; OSSENCFS_TWO_EDITS for another number
	OSSENCFS_TWO_EDITS=$${OSSENCFS_TWO_EDITS:-10000} $(GO) test -count=1 -v -timeout 3h -run TestTwoWriters ./test/two

crash: ## 1,000 kills of the daemon under a mixed load; OSSENCFS_CRASH_SEED repeats a run
	OSSENCFS_CRASH_ROUNDS=$${OSSENCFS_CRASH_ROUNDS:-1000} $(GO) test -count=1 -v -timeout 3h -run TestKillRounds ./test/crash

scenarios: ## every way in which a late or lost request could lose data, with a crash at each of its steps
	OSSENCFS_SCENARIOS=$${OSSENCFS_SCENARIOS:-all} $(GO) test -count=1 -v -timeout 1h -run TestScenario ./cache

powercut: ## 200 power cuts of the cache's disk under a mixed load, as root
	OSSENCFS_POWER_ROUNDS=$${OSSENCFS_POWER_ROUNDS:-200} $(GO) test -count=1 -v -timeout 3h -run TestPowerCutRounds ./test/crash

mutants: ## the tests against faults that are put into the product one by one; some minutes
	OSSENCFS_MUTANTS=1 $(GO) test -count=1 -timeout 1h -v ./test/mutants

survive: ## 100 kills of the daemon under cp -r, sha256sum, rm -r and programs that make and remove names; OSSENCFS_SURVIVE_KILLS for others
	OSSENCFS_SURVIVE_KILLS=$${OSSENCFS_SURVIVE_KILLS:-100} $(GO) test -count=1 -v -timeout 2h ./test/survive

death: ## the host dies at every request of restic and of git; some minutes
	OSSENCFS_DEATH_ALL=1 $(GO) test -count=1 -timeout 2h -v ./test/death

space: ## 2 GiB as one file and as 20,000 through a cache of 200 MiB at 20 MB/s; about 6 minutes
	OSSENCFS_SPACE_LONG=1 $(GO) test -count=1 -timeout 1h -v -run SmallCache ./test/space

bench: ## fsbench on the mount and on gocryptfs; see test/bench/run for what it needs
	test/bench/run bench-results

ci: ## what CI does
	.ci/run

clean:
	rm -rf ossencfs bench-results
