# The project's verbs. `just` alone lists them.

_default:
    @just --list

# Serve the backend with internals shown in errors.
dev *args:
    cargo run -p clonk -- --dev {{args}}

# Run every test that this machine can run; the others say what they skip.
test *args:
    cargo test --workspace {{args}}

# Formatting, lints and documentation, warnings denied.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Check the layers, the imports between modules and the language. It builds nothing of the project.
tidy:
    cargo test -p lentil-tidy

# Run all checks and tests, nothing skipped. Run it before a push.
verify: check
    LENTIL_TEST_ALL=1 cargo test --workspace --no-fail-fast
    LENTIL_TEST_ALL=1 just bench-check

# Compare clonk with its alternatives: `just bench`, `just bench --quick`, `just bench get post`, `just bench --big`.
bench *args:
    cargo build --release -p clonk
    cargo build --release -p lentil-tests --bin testapp
    cargo run --release -p lentil-bench --bin bench -- {{args}}

# Count the instructions of three fixed scenarios. More than 5 % above the recorded counts fail; `--record` records new ones.
bench-check *args:
    cargo run --profile counted -p lentil-bench --bin scenarios -- check {{args}}

# Measure single steps: values, keys, validation, commits, the cache.
bench-micro *args:
    cargo bench -p lentil-bench --bench micro -- {{args}}

# Run the property tests with this many cases each.
proptest cases="200000":
    PROPTEST_CASES={{cases}} cargo test --release -p lentil-values -p lentil-schema -p lentil-store -p lentil-sqlite -p lentil-protocol -p lentil-server

# Fuzz a decoder with libFuzzer: value, key, id, validator, call, sync or authorization. Needs cargo-fuzz and a nightly compiler.
fuzz target *args:
    cargo +nightly fuzz run {{target}} -- {{args}}

# Check licences, duplicates and sources of dependencies, and find unused ones. Needs cargo-deny and cargo-machete.
dependencies:
    cargo deny check licenses bans sources
    cargo machete
