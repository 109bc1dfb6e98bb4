# Recipes for people who work on Cleanslide. `just` lists them.

# List the recipes.
default:
    @just --list

# Format, lint, document and test, as CI does.
check:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo nextest run --workspace
    cargo test --workspace --doc
