# The commands of this project. Each is short; the work is done by cargo and by the scripts in tools/.
.DEFAULT_GOAL := help
.PHONY: help test campaign verify-contract bench-memory bench-audit demo cluster-demo crds docs advisories clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## check everything: format, lints, tests against a real API server, licences
	@tools/check

# Not part of `test`, which runs a small part of each: it takes up to forty minutes. tools/campaign says how it is scaled.
campaign: ## attack at-most-once by all means, and write the numbers into docs/reliability.md
	@tools/campaign

# Not part of `test`: it needs Python and packages from its registry.
verify-contract: ## compare the simulated Proxmox with fakepve, an independent imitation
	@tools/verify-contract

# Not part of `test`: it takes minutes, and what else runs on the machine shows in it.
bench-memory: ## how much memory a plan takes that waits for its approval, or that has ended; fails above 6 KiB
	@cargo bench --bench memory

demo: ## the whole way of a request, against the simulated Proxmox, without a cluster
	@[ -x "$${CARGO_TARGET_DIR:-target}/debug/proxmox-agent" ] || echo 'building proxmox-agent: a minute or two, the first time only'
	@cargo build --quiet --bin proxmox-agent
	@tools/demo

cluster-demo: ## the same on a real API server, which stays up to be tried
	@cargo build --quiet --bins
	@tools/cluster-demo

# Not part of `test`: it takes a gigabyte of disk, and its numbers are those of the machine.
bench-audit: ## what an append to the audit log costs, at its beginning and after a million lines
	@cargo bench --quiet --bench audit

crds: ## write crds/ anew from src/api
	@mkdir -p crds
	@cargo run --quiet -- crd --dir crds

docs: ## write the generated pages of docs/ anew from the action table
	@cargo run --quiet -- docs --dir docs

# Not part of `test`: the database comes from the network, and its news are not this commit's fault.
advisories: ## ask whether a dependency has a known vulnerability
	@"$$(tools/provide cargo-deny)/cargo-deny" --locked check --hide-inclusion-graph advisories

clean: ## remove what cargo built; the outside tools stay, in ~/.cache/proxmox-agent
	@cargo clean
