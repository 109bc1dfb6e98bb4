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

# Run the demo into a fresh folder.
demo:
    rm -rf demo
    cargo run --release -- demo

# AMi-Br, three pathologists: audit and methods on real disagreement (two hours on 2 cores; resumes).
# Needs the data and the encoder, and Python for the peer: benches/amibr.py says which packages.
amibr data="../shared/data/amibr" weights="../shared/data/encoders/efficientnet-lite0-imagenet.safetensors" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/amibr
    mkdir -p $run
    if [ ! -e $run/data ]; then
        $bin import votes {{data}}/votes.csv $run/data --annotators expert1,expert2,expert3 --reference majority
    fi
    start=$(date +%s)
    for encoder in classical efficientnet-lite0; do
        flags="--encoder classical --crop 64"
        if [ $encoder = efficientnet-lite0 ]; then flags="--encoder {{weights}} --crop 64"; fi
        $bin embed $run/data $flags --json > $run/embed-$encoder.json
        $bin bench $run/data $flags --recipe benches/amibr.toml --labels-of expert1,expert3,all \
            --reference majority --out $run/bench-experts-$encoder
        $bin bench $run/data $flags --recipe benches/amibr.toml --labels-of reference:majority \
            --noise none,uniform:0.1,uniform:0.2,uniform:0.3,uniform:0.4 \
            --reference majority --out $run/bench-noise-$encoder
        for expert in expert1 expert2 expert3; do
            $bin audit $run/data $flags --source $expert --out $run/audit-$encoder-$expert
            $bin evaluate $run/data $run/audit-$encoder-$expert/issues.csv --reference majority \
                --json > "$run/ranking-$expert by $encoder.json"
        done
    done
    {{python}} benches/amibr.py $run --minutes $((($(date +%s) - start) / 60))

# Speed and memory against Python peers, on a quiet machine. Each script's head names its packages.
bench-peers python="python3" weights="../shared/data/encoders/efficientnet-lite0-imagenet.safetensors":
    cargo build --release --workspace --examples
    {{python}} benches/peers/dawid_skene.py --json results/dawid-skene.json
    {{python}} benches/peers/confident_learning.py --json results/confident-learning.json
    {{python}} benches/peers/pixel_audit.py --json results/pixel-audit.json
    {{python}} benches/peers/geojson.py --json results/geojson.json
    {{python}} benches/peers/metrics.py --json results/metrics.json
    {{python}} benches/peers/coco_evaluation.py --json results/coco-evaluation.json
    {{python}} benches/peers/nearest_neighbours.py --json results/nearest-neighbours.json
    {{python}} benches/peers/efficientnet_lite.py {{weights}} --json results/efficientnet-lite.json
