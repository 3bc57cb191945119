# Every target is a call of kernlab or of go. ARGS adds to it:
#	make test ARGS='smoke --arch arm64'
GO      ?= go
KERNLAB := bin/kernlab
ARGS    ?=

.PHONY: help verify test bench test-debug unit unit-cold build boot shell export man lint clean $(KERNLAB)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(KERNLAB):
	@$(GO) build -trimpath -o $@ ./tools/cmd/kernlab

verify: $(KERNLAB) ## install what is missing, build for arm64, boot, prove each feature
	@$(KERNLAB) doctor --install -q --for arm64
	@$(KERNLAB) series check
	@$(KERNLAB) test --arch arm64 $(ARGS)

test: $(KERNLAB) ## every test, on both architectures
	@$(KERNLAB) doctor --install -q
	@$(KERNLAB) series check
	@$(GO) test -race ./...
	@$(KERNLAB) test --arch all $(ARGS)
	@CLOUDKERNEL_E2E=1 $(GO) test -count=1 -timeout 40m -parallel 3 ./tools/internal/e2e

test-debug: $(KERNLAB) ## every case again under KASAN and lockdep, and the long stress runs
	@$(KERNLAB) test --arch all --profile debug --long $(ARGS)

bench: $(KERNLAB) ## every benchmark, with a report in out/bench
	@$(KERNLAB) doctor --install -q --for arm64
	@$(KERNLAB) bench $(ARGS)

unit-cold: $(KERNLAB)
	@$(KERNLAB) doctor --install -q
	@$(MAKE) --no-print-directory unit

unit: ## the Go tests, with the race detector
	@$(GO) test -race ./...

build: $(KERNLAB) ## kernels of the series for both architectures
	@$(KERNLAB) build --arch all $(ARGS)

boot shell: $(KERNLAB) ## a shell in an arm64 guest that runs the series
	@$(KERNLAB) boot $(ARGS)

export: $(KERNLAB) ## write the commits of the derived tree back as patches
	@$(KERNLAB) series export $(ARGS)

lint: ## gofmt, vet, staticcheck, and the rules of this repository
	@test -z "$$(gofmt -l kpatch-arm64 tools | tee /dev/stderr)"
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...

man: $(KERNLAB) ## the manual pages, from the commands' own help
	@$(KERNLAB) gen man

clean: ## remove what was built here; kernlab cache gc --all clears the cache
	rm -rf bin out
