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

# Fuzz every parser of annotations, for so many seconds each; needs `cargo install --locked cargo-fuzz`.
# The parsers have no unsafe of ours, so no sanitizer is needed and a stable compiler will do.
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    for target in $(cargo fuzz list); do
        RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $target -- \
            -max_total_time={{seconds}} -rss_limit_mb=2048
    done

# Operators, networks, losses and trainings on a GPU (the first build takes some fifteen minutes on 2 cores). Needs a
# Vulkan loader (libvulkan.so.1) and a driver; without a GPU, the software driver SwiftShader will do, which is part of
# Chromium (Debian: `apt-get install chromium libvulkan1`).
test-vulkan:
    #!/usr/bin/env bash
    set -euo pipefail
    for driver in /usr/lib/chromium{,-browser}/vk_swiftshader_icd.json; do
        if [ -z "${VK_ICD_FILENAMES:-}" ] && [ -z "${VK_DRIVER_FILES:-}" ] && [ -e $driver ]; then
            echo "on the software driver $driver; set VK_ICD_FILENAMES for another" >&2
            export VK_ICD_FILENAMES=$driver
        fi
    done
    # A target folder of its own: otherwise each side would build the other's dependencies anew.
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/vulkan}
    cargo nextest run -p cleanslide-nn -p cleanslide-learn -p cleanslide-cli --features vulkan --locked \
        --profile vulkan

# The kernels on ARM's vector instructions (NEON), on an emulated processor (some minutes). Needs `rustup target add
# aarch64-unknown-linux-gnu`, and an emulator and a linker (Debian: `apt-get install qemu-user gcc-aarch64-linux-gnu`).
test-neon cases="24":
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
    PROPTEST_CASES={{cases}} cargo test -p cleanslide-kernels --target aarch64-unknown-linux-gnu --locked

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

# How often `advise` chooses a method within a point of the best: three pathologists and their majority with noise of four
# kinds, and simulated tissue (an hour on 2 cores; resumes). Needs the data, and Python with numpy.
advise seeds="0 1 2" data="../shared/data/amibr" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/advise
    mkdir -p $run
    if [ ! -e $run/amibr-experts/data ]; then
        $bin import votes {{data}}/votes.csv $run/amibr-experts/data --annotators expert1,expert2,expert3 \
            --reference majority
    fi
    if [ ! -e $run/amibr-majority/data ]; then
        columns=$({{python}} benches/advise.py labels {{data}}/votes.csv majority $run/amibr.csv {{data}})
        $bin import votes $run/amibr.csv $run/amibr-majority/data --annotators $columns --reference truth
    fi
    if [ ! -e $run/simulated-annotators/data ]; then
        $bin simulate $run/simulated-annotators/data --seed 2
    fi
    if [ ! -e $run/simulated-truth/data ]; then
        data=$run/simulated-annotators/data
        {{python}} benches/advise.py images $data truth $run/images.csv
        columns=$({{python}} benches/advise.py labels $run/images.csv truth $run/simulated.csv $data)
        $bin import votes $run/simulated.csv $run/simulated-truth/data --annotators $columns --reference truth
    fi
    # Forward correction, co-teaching and agreement take four to seven times as long as all others.
    fast=cross-entropy,focal,mae,gce,sce,nce-rce,elr,bootstrap,wann
    all=$fast,forward,co-teaching,agreement
    noise() { for kind in uniform-1 uniform-2 uniform-3 uniform-4 pair-2 pair-4 missed-2 missed-4 added-1 added-2; do
        echo $kind-$1; done; }
    study() { # DATA METHODS FLAGS LABELS…
        local name=$1 methods=$2 flags=$3
        mkdir -p $run/$name/advice
        for labels in "${@:4}"; do
            $bin bench $run/$name/data $flags --labels-of $labels --methods $methods --seeds 1 --threads 1 \
                --out $run/$name/bench > $run/log
            mv $run/$name/bench/bench.json $run/$name/bench/$labels.json
            if [ ! -e $run/$name/advice/$labels.json ]; then
                $bin advise $run/$name/data $flags --source $labels --methods $methods --threads 1 --json > $run/new.json
                mv $run/new.json $run/$name/advice/$labels.json
            fi
        done
    }
    amibr="--crop 64 --recipe benches/amibr.toml"
    study amibr-experts $fast "$amibr" expert3 all
    study simulated-annotators $all "" annotator1 annotator2 annotator3
    for seed in {{seeds}}; do
        study amibr-majority $fast "$amibr" $(noise $seed)
        study simulated-truth $all "" $(noise $seed)
    done
    {{python}} benches/advise.py report $run < benches/advise-meaning.md

# AMi-Br: encoders from images alone, against others and against networks that learn from pixels and labels at once, with
# labels of rising noise (an hour for each method and for each seed from pixels on one core; resumes). Needs the data and the encoder, and
# Python with numpy.
contrastive methods="simclr moco-v3 dino barlow-twins" epochs="14" seeds="3" pixel-seeds="1" data="../shared/data/amibr" weights="../shared/data/encoders/efficientnet-lite0-imagenet.safetensors" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/contrastive
    mkdir -p $run
    if [ ! -e $run/data ]; then
        $bin import votes {{data}}/votes.csv $run/data --annotators expert1,expert2,expert3 --reference majority
    fi
    compare() {
        $bin bench $run/data --encoder $2 --crop 64 --recipe benches/amibr.toml --labels-of reference:majority \
            --noise none,uniform:0.2,uniform:0.4 --methods cross-entropy,mae,gce,elr --reference majority \
            --seeds {{seeds}} --out $run/bench-$1
        $bin bench $run/data --encoder $2 --crop 64 --recipe benches/amibr.toml --labels-of expert1,expert2,expert3,all \
            --methods cross-entropy,gce --reference majority --seeds {{seeds}} --out $run/experts-$1
    }
    compare classical classical
    compare efficientnet-lite0 {{weights}}
    if [ ! -e $run/random/model.safetensors ]; then
        $bin pretrain $run/data --recipe benches/random-encoder.toml --out $run/random
    fi
    compare random $run/random/model.safetensors
    $bin bench $run/data --from-pixels benches/from-pixels.toml --labels-of reference:majority \
        --noise none,uniform:0.4 --methods cross-entropy,gce --reference majority --seeds {{pixel-seeds}} \
        --out $run/bench-from-pixels
    for method in {{methods}}; do
        if [ ! -e $run/$method/model.safetensors ]; then
            $bin pretrain $run/data --method $method --view 64 --crop 80 --epochs {{epochs}} --source expert1 \
                --out $run/$method
        fi
        compare $method $run/$method/model.safetensors
    done
    {{python}} benches/contrastive.py $run
    {{python}} benches/contrastive_gap.py $run {{data}}/votes.csv

# Wrong labels from none to nine in ten: three kinds of noise, encoders and heads, on AMi-Br and on simulated tissue
# (resumes). Encoders of `just contrastive` take part where they are. Needs the data and the encoder, and Python with
# matplotlib.
protocol methods="cross-entropy,mae,gce,elr,agreement" seeds="4" data="../shared/data/amibr" weights="../shared/data/encoders/efficientnet-lite0-imagenet.safetensors" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/protocol
    mkdir -p $run
    if [ ! -e $run/mitoses ]; then
        $bin import votes {{data}}/votes.csv $run/mitoses --annotators expert1,expert2,expert3 --reference majority
    fi
    if [ ! -e $run/liver ]; then $bin simulate $run/liver --seed 2; fi
    noises() { # CLASS
        list=none
        for kind in uniform toward:$1 instance; do
            for rate in 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9; do list=$list,$kind:$rate; done
        done
        echo $list
    }
    measure() { # NAME DATASET REFERENCE CLASS ENCODER-NAME ENCODER FLAGS
        for head in linear linear-clean mlp; do
            $bin bench $run/$2 --labels-of reference:$3 --reference $3 --noise $(noises $4) --methods {{methods}} \
                --seeds {{seeds}} --recipe benches/protocol-$head.toml --encoder $6 $7 --out $run/$1/$5/$head
        done
    }
    measure simulated-liver liver truth hepatocytes classical classical ""
    measure amibr mitoses majority normal classical classical "--crop 64"
    measure amibr mitoses majority normal efficientnet-lite0 {{weights}} "--crop 64"
    for own in simclr moco-v3 dino barlow-twins; do
        model=runs/contrastive/$own/model.safetensors
        if [ -e $model ]; then measure amibr mitoses majority normal $own $model "--crop 64"; fi
    done
    {{python}} benches/protocol.py $run

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
    {{python}} benches/peers/staple.py --json results/staple.json
    {{python}} benches/peers/weighted_boxes_fusion.py --json results/weighted-boxes-fusion.json

# Image operators against OpenCV, scikit-image and torchstain, on a quiet machine.
bench-operators python="python3" images="../shared/data/bccd/images":
    cargo build --release -p cleanslide-image --examples
    {{python}} benches/peers/operators.py {{images}}

# Tiles of slides against openslide-python and TIAToolbox (three minutes). Needs the slides, and Python with both.
bench-slides python="python3" slides="../shared/data/slides":
    cargo build --release --workspace --examples
    {{python}} benches/peers/slides.py {{slides}} --json results/slides.json

# What predicting a slide of 100,000 x 100,000 pixels takes of memory (a quarter of an hour). Needs the nuclei, and Python with the
# packages that benches/large_slide.py names.
large-slide data="../shared/data/he-nuclei" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/large-slide
    if [ ! -e $run/data ]; then
        $bin import instances {{data}}/instances_corrected $run/data --images {{data}}/images --classes nucleus \
            --source corrected
    fi
    if [ ! -e $run/run/model.safetensors ]; then
        $bin train $run/data --recipe benches/large-slide.toml --out $run/run --threads 1
    fi
    rm -rf $run/found
    {{python}} benches/large_slide.py write $run/large.tif
    {{python}} benches/large_slide.py measure $bin $run/run $run/large.tif $run/found 0.5

# How well sharp tissue is told from blurred, on real slides (seconds). Needs the data, and Python with OpenSlide and SciPy.
focus data="../shared/data/slides" python="python3":
    {{python}} benches/focus.py {{data}}

# Convolutions and networks against PyTorch, on a quiet machine.
bench-engine python="python3":
    cargo build --release --workspace --examples
    {{python}} benches/peers/convolution.py --json results/engine.json
    {{python}} benches/peers/networks.py --json results/engine-networks.json

# The same networks on a GPU, ours through Vulkan and PyTorch's through CUDA (minutes). Needs an NVIDIA GPU with
# both drivers, and PyTorch for CUDA.
bench-gpu python="python3":
    cargo build --release -p cleanslide-learn --features vulkan --example bench_networks
    {{python}} benches/peers/networks.py --gpu --json results/gpu.json

# Blood smears: circles and a watershed as weak labels, beside the boxes that people drew first, all
# against the corrected boxes (a minute). Needs the data, and Python without packages.
weak-bccd data="../shared/data/bccd" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/weak-bccd
    rm -rf $run
    mkdir -p $run
    classes="--classes RBC,WBC,Platelets"
    $bin import voc {{data}}/annotations_original $run/data --images {{data}}/images $classes --source original
    $bin import voc {{data}}/annotations_corrected $run/data --images {{data}}/images $classes \
        --as-reference corrected
    $bin weak hough $run/data --class RBC --plane green --diameter 70..120px --edge 25 \
        --support 0.28 --distance 0.7 --sheet $run/hough.html
    $bin weak blobs $run/data --class RBC --name watershed --plane green --diameter 50..130px --boxes \
        --level fixed:185 --sheet $run/watershed.html
    $bin evaluate $run/data v3 --reference corrected --class-agnostic --json > $run/evaluation.json
    $bin evaluate $run/data v3 --reference corrected --class-agnostic
    {{python}} benches/shapes.py weak-bccd $run/evaluation.json --data "bccd, class-agnostic" \
        --command "just weak-bccd" < benches/weak-bccd-meaning.md

# Five experts' masks of fluorescent nuclei, and every rule that fuses them, against the authors'
# consensus (some minutes). Needs the data, and Python without packages.
experts-cfos data="../shared/data/cfos-experts" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/experts-cfos
    rm -rf $run
    mkdir -p $run
    base="--images {{data}}/images --classes background,nucleus"
    $bin import masks {{data}}/masks/consensus $run/data $base --as-reference consensus
    for expert in expert1 expert2 expert3 expert4 expert5; do
        $bin import masks {{data}}/masks/$expert $run/data $base --source $expert
    done
    for rule in majority staple dawid-skene smooth; do
        $bin fuse $run/data --rule $rule --per-image
    done
    $bin agreement $run/data --map $run/disagreement
    $bin evaluate $run/data v9 --reference consensus --all --json > $run/evaluation.json
    $bin evaluate $run/data v9 --reference consensus --all
    {{python}} benches/shapes.py experts-cfos $run/evaluation.json --data "cfos" \
        --command "just experts-cfos" < benches/experts-cfos-meaning.md

# Five experts' masks of fluorescent nuclei: a network learns from all of them, by every method, against the authors'
# consensus and each expert (an hour on 2 cores; resumes). Images and masks at half their size. Needs the data, and Python
# with numpy and pillow.
experts data="../shared/data/cfos-experts" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/experts
    if [ ! -e $run/data ]; then
        mkdir -p $run
        {{python}} benches/halve_images.py {{data}} $run/half
        base="--images $run/half/images --classes background,nucleus"
        $bin import masks $run/half/masks/consensus $run/data $base --as-reference consensus
        for expert in expert1 expert2 expert3 expert4 expert5; do
            $bin import masks $run/half/masks/$expert $run/data $base --source $expert
        done
    fi
    compare() { # NAME FIRST-SEED SEEDS METHODS SETTING...
        local name=$1 first=$2 count=$3 methods=$4
        shift 4
        # The networks are too small for two threads: two are trained at once, and then all are compared.
        for seed in $(seq $first $((first + count - 1))); do
            for method in ${methods//,/ }; do echo $seed $method; done
        done | xargs -P 2 -L 1 bash -c "$bin bench $run/data $* --methods \$1 --seeds 1 --seed \$0 --threads 1 \
            --out $run/$name > $run/$name-\$1-\$0.log"
        $bin bench $run/data $* --methods $methods --seeds $count --seed $first --threads 1 --out $run/$name
    }
    sed 's/^epochs = 32/epochs = 96/' benches/experts.toml > $run/longer.toml
    start=$(date +%s)
    compare unet 0 3 majority,majority+focal,majority+gaf,reweight,reweight+gaf,reweight+entropy,soft,staple,confusion,confusion+per-pixel,self-consensus \
        --recipe benches/experts.toml
    compare hrnet 0 3 majority,majority+gaf,reweight,reweight+gaf --recipe benches/experts.toml --networks benches/hrnet-w18-small.toml
    echo $((($(date +%s) - start) / 60)) minutes without the longer trainings
    # The same with three times the steps.
    compare longer 1 1 majority,majority+gaf,reweight,reweight+gaf --recipe $run/longer.toml
    {{python}} benches/experts.py reweight $run/unet/bench.json $run/hrnet/bench.json \
        "unet, 384 steps, seed 1=$run/longer/bench.json" --data "cfos, half size" \
        --command "just experts" --minutes $((($(date +%s) - start) / 60)) < benches/experts-meaning.md

# Blood cells at a quarter of their size: a detector begins with boxes from circles alone, beside other cells that people
# marked, and corrects them, in every way of Table 1 of the paper (half an hour on 2 cores; resumes). Needs the data, and
# Python with numpy and pillow.
sissi-weak data="../shared/data" python="python3": (_sissi-cells data)
    #!/usr/bin/env bash
    set -euo pipefail
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/sissi-weak
    if [ ! -e $run/hough ]; then
        $bin import images {{data}}/bccd/images $run/full --classes RBC
        $bin weak hough $run/full --plane green --diameter 70..120px --edge 25 --support 0.28 --distance 0.7 --boxes
        $bin export $run/full $run/hough --format voc
    fi
    just _sissi sissi-weak hough $run/hough "bccd, from circles" \
        plain,self-training,self-training+weak,self-training+strong,adele,adele+weak,adele+strong {{data}} {{python}}

# The same from the boxes that people drew first, of which many are missing and some are false.
sissi-original data="../shared/data" python="python3": (_sissi-cells data)
    just _sissi sissi-original original {{data}}/bccd/annotations_original "bccd, from the first boxes" \
        plain,self-training,self-training+weak,self-training+strong,adele,adele+weak,adele+strong,adele+completed,adele+ignored+completed \
        {{data}} {{python}}

# The same with nuclei of which all are known: boxes of two fifths are taken away, and false ones added (half an hour on 2
# cores; resumes). Needs the data, and Python with the packages that benches/nuclei_fields.py names.
sissi-dropped data="../shared/data" python="python3": (_sissi-cells data)
    #!/usr/bin/env bash
    set -euo pipefail
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/sissi-dropped
    if [ ! -e $run/data/labels/v3 ]; then
        rm -rf $run/masks $run/boxes $run/data
        import="--images {{data}}/he-nuclei/images --classes nucleus"
        $bin import instances {{data}}/he-nuclei/instances_corrected $run/masks $import
        $bin export $run/masks $run/boxes --format voc
        $bin import voc $run/boxes $run/data $import --source corrected
        $bin import voc $run/boxes $run/data $import --as-reference corrected
        {{python}} benches/nuclei_fields.py $run/data {{data}}/he-nuclei/images
        $bin split $run/data --test 0.3
        $bin inject drop $run/data --rate 0.4 --name dropped --reference all
        $bin inject add $run/data --source dropped --rate 0.2 --plane haematoxylin --name noisy --reference marked
    fi
    just _sissi-study sissi-dropped benches/sissi-dropped.toml v3 noisy "he-nuclei, two fifths missing" \
        plain,adele,adele+strong,adele+completed,adele+ignored,adele+ignored+completed,adele+ignored+trust "" {{python}}

# What blurring costs an epoch (seven minutes, on a quiet machine; after `just sissi-weak`).
sissi-cloning python="python3":
    cargo build --release
    {{python}} benches/sissi_cloning.py ${CARGO_TARGET_DIR:-target}/release/cleanslide runs/sissi-weak/data \
        --json results/sissi-cloning.json

# Masks of nuclei of which two fifths are missing and a sixth is false: U-Nets that correct them while they learn from
# them, against one that does not (forty minutes on 2 cores; resumes). Needs the data, and Python with the packages that
# benches/sissi_nuclei.py names.
sissi-nuclei data="../shared/data/he-nuclei" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/sissi-nuclei
    if [ ! -e $run/data/labels/v3 ]; then
        rm -rf $run/data
        import="--images {{data}}/images --classes nucleus"
        $bin import instances {{data}}/instances_corrected $run/data $import --source corrected
        $bin import instances {{data}}/instances_corrected $run/data $import --as-reference corrected
        {{python}} benches/nuclei_fields.py $run/data {{data}}/images
        $bin split $run/data --test 0.3
        $bin inject drop $run/data --rate 0.4 --name dropped --reference all
        $bin inject add $run/data --source dropped --rate 0.2 --plane haematoxylin --name noisy --reference marked
    fi
    just _nuclei-study sissi-nuclei sissi_nuclei corrected plain,sissi,sissi+strong,sissi+ignored,sissi+ignored+completed \
        "0 1 2" {{python}}

# Masks of nuclei of which a fifth to two fifths are false, some are missing and half are drawn badly: two U-Nets that filter
# each other's labels against one that does not, and at two fifths the parts one by one; five folds by field of view (an hour and
# a half on 2 cores, an hour without the parts; resumes). Needs the data, and Python with what benches/nuclei_masks.py names.
dual methods="plain,dual" parts="small-loss,co-teaching,co-teaching+selection,dividemix" rates="40 20 60" seeds="0 1 2" data="../shared/data/he-nuclei" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    half=runs/dual/half
    if [ ! -e $half ]; then {{python}} benches/halve_images.py {{data}} $half; fi
    for rate in {{rates}}; do
        run=runs/dual/$rate
        if [ -e $run/data/labels/v4 ]; then continue; fi
        rm -rf $run
        import="--images $half/images --classes nucleus"
        $bin import instances $half/instances_corrected $run/data $import --source corrected
        $bin import instances $half/instances_corrected $run/data $import --as-reference corrected
        {{python}} benches/nuclei_fields.py $run/data {{data}}/images
        $bin inject drop $run/data --rate 0.2 --name dropped --reference all
        $bin inject add $run/data --source dropped --rate 0.$rate --plane haematoxylin --name added --reference marked
        $bin inject border $run/data --source added --rate 0.5 --name noisy --reference drawn --sheet $run/noise.html
    done
    first=$(cut -d " " -f 1 <<< "{{rates}}")
    for rate in {{rates}}; do just _nuclei-trainings dual runs/dual/$rate corrected {{methods}} "{{seeds}}"; done
    just _nuclei-trainings dual runs/dual/$first corrected plain,{{parts}},dual 0
    mv runs/dual/$first/bench/bench.json runs/dual/$first/bench/parts.json
    just _nuclei-trainings dual runs/dual/$first corrected {{methods}} "{{seeds}}"
    shares=$(for rate in {{rates}}; do [ $rate = $first ] || echo --share "dual-$rate=runs/dual/$rate"; done)
    {{python}} benches/dual.py dual runs/dual/$first $shares --reference corrected \
        --minutes $(awk '{ sum += $1 } END { print sum / 60 }' runs/dual/*/seconds) < benches/dual-meaning.md

# The same for immune cells of simulated tissue, where other nuclei look like them, with what is known of lymphocytes and
# without (half an hour on 2 cores; resumes). Needs Python with what benches/nuclei_masks.py names.
dual-simulated methods="plain,dividemix,dual,dual+priors" seeds="0" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/dual-simulated
    if [ ! -e $run/data/labels/v4 ]; then
        rm -rf $run/data
        $bin simulate $run/data --cells immune --cases 24 --patches 4
        $bin split $run/data --test 0.3
        $bin inject drop $run/data --rate 0.2 --name dropped --reference all
        $bin inject add $run/data --source dropped --rate 0.4 --plane haematoxylin --name added --reference marked
        $bin inject border $run/data --source added --rate 0.5 --name noisy --reference drawn --sheet $run/noise.html
    fi
    just _nuclei-study dual-simulated dual truth {{methods}} "{{seeds}}" {{python}}

# Few masks and many diagnoses: two tumours of simulated liver, and living and dead cells, with masks of 5 to 50 % of the cases
# (an hour and a half on 2 cores; resumes). Needs the data for the cells, and Python with the packages that
# benches/living_cells.py names.
complementary seeds="0 1 2" data="../shared/data/live-dead-cells" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    start=$(date +%s)
    liver=runs/complementary
    if [ ! -e $liver/data/labels/v6 ]; then
        rm -rf $liver/data
        $bin simulate $liver/data --tissue --cases 160 --patches 3
        $bin split $liver/data --test 0.44 --validation 0.18
        just _unlabelled $liver "50 80 90 95 0"
    fi
    {{python}} benches/complementary_recipes.py $liver 600 < benches/complementary.toml
    just _complementary $liver "05" plain,shown,partial,forward,presumed "{{seeds}}" truth
    just _complementary $liver "10" plain,partial,forward,presumed "{{seeds}}" truth
    just _complementary $liver "20 50" plain,partial,forward "{{seeds}}" truth
    just _complementary $liver 100 plain "{{seeds}}" truth
    cells=runs/complementary-cells
    if [ ! -e $cells/data/labels/v5 ]; then
        rm -rf $cells
        {{python}} benches/living_cells.py {{data}} $cells
        import="--images {{data}}/images --classes background,living,dead"
        $bin import masks $cells/masks $cells/data $import --source simulator
        $bin import masks $cells/masks $cells/data $import --as-reference truth
        $bin import diagnoses $cells/diagnoses.csv $cells/data --excludes "no dead=dead" --excludes "no living=living"
        $bin split $cells/data --test 0.4
        just _unlabelled $cells "80 95 0" v2
    fi
    {{python}} benches/complementary_recipes.py $cells 600 < benches/complementary.toml
    just _complementary $cells "05 20" plain,partial,forward "{{seeds}}" truth
    just _complementary $cells 100 plain "{{seeds}}" truth
    {{python}} benches/complementary.py $liver $cells --minutes $(( ($(date +%s) - start) / 60 )) \
        < benches/complementary-meaning.md

# Label versions in which masks of so many percent of the cases are taken away.
_unlabelled run rates labels="v1":
    #!/usr/bin/env bash
    set -euo pipefail
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    for rate in {{rates}}; do
        left=$(printf %02d $((100 - rate)))
        $bin inject unlabel {{run}}/data --labels {{labels}} --source simulator --rate 0.$rate --name few-$left --reference all
    done

# All methods with masks of a share of the cases: two networks are trained at once, and then all are compared.
_complementary run shares methods seeds reference:
    #!/usr/bin/env bash
    set -euo pipefail
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    bench="$bin bench {{run}}/data --threads 1 --reference {{reference}}"
    methods={{methods}}
    for share in {{shares}}; do for seed in {{seeds}}; do for method in ${methods//,/ }; do
        echo $share $seed $method
    done; done; done | xargs -P 2 -L 1 bash -c \
        "$bench --recipe {{run}}/recipe-\$0.toml --methods \$2 --seeds 1 --seed \$1 --out {{run}}/bench-\$0 > {{run}}/\$2-\$0-\$1.log"
    for share in {{shares}}; do
        $bench --recipe {{run}}/recipe-$share.toml --methods $methods --seeds $(wc -w <<< "{{seeds}}") --out {{run}}/bench-$share
    done

# The networks are too small for two threads: two are trained at once, and then all are compared.
_nuclei-trainings recipe run reference methods seeds:
    #!/usr/bin/env bash
    set -euo pipefail
    start=$(date +%s)
    bench="${CARGO_TARGET_DIR:-target}/release/cleanslide bench {{run}}/data --recipe benches/{{recipe}}.toml --threads 1"
    bench="$bench --reference {{reference}} --out {{run}}/bench"
    methods={{methods}}
    for seed in {{seeds}}; do for method in ${methods//,/ }; do echo $seed $method; done; done \
        | xargs -P 2 -L 1 bash -c "$bench --methods \$1 --seeds 1 --seed \$0 > {{run}}/\$1-\$0.log"
    $bench --methods $methods --seeds $(wc -w <<< "{{seeds}}")
    # Of all calls, where an earlier one was interrupted.
    echo $(($(date +%s) - start)) >> {{run}}/seconds

_nuclei-study name script reference methods seeds python:
    just _nuclei-trainings {{name}} runs/{{name}} {{reference}} {{methods}} "{{seeds}}"
    {{python}} benches/{{script}}.py {{name}} runs/{{name}} --reference {{reference}} \
        --minutes $(awk '{ sum += $1 } END { print sum / 60 }' runs/{{name}}/seconds) < benches/{{name}}-meaning.md

_sissi-cells data:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    if [ ! -e runs/sissi/cells ]; then
        ${CARGO_TARGET_DIR:-target}/release/cleanslide import voc {{data}}/live-dead-cells/annotations runs/sissi/cells \
            --images {{data}}/live-dead-cells/images --classes "Living Cell,Dead Cell"
    fi

_sissi name source boxes title methods data python:
    #!/usr/bin/env bash
    set -euo pipefail
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/{{name}}
    if [ ! -e $run/data/reference ]; then
        rm -rf $run/data
        {{python}} benches/shrink_boxes.py 4 2 {{data}}/bccd/images $run/small {{boxes}} {{data}}/bccd/annotations_corrected
        import="--images $run/small/images --classes RBC,WBC,Platelets"
        $bin import voc $run/small/$(basename {{boxes}}) $run/data $import --source {{source}}
        $bin import voc $run/small/annotations_corrected $run/data $import --as-reference corrected
        $bin split $run/data --test 0.35
    fi
    just _sissi-study {{name}} benches/sissi.toml v1 {{source}} "{{title}}" {{methods}} --class-agnostic {{python}}

_sissi-study name recipe given source title methods flags python:
    #!/usr/bin/env bash
    set -euo pipefail
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/{{name}}
    start=$(date +%s)
    bench="$bin bench $run/data --recipe {{recipe}} --threads 1 --reference corrected {{flags}} --out $run/bench"
    # The network is too small for two threads: two are trained at once, and then all are compared.
    methods={{methods}}
    for seed in 0 1 2; do for method in ${methods//,/ }; do echo $seed $method; done; done \
        | xargs -P 2 -L 1 bash -c "$bench --methods \$1 --seeds 1 --seed \$0 > $run/\$1-\$0.log"
    $bench --methods {{methods}}
    # Of all calls, where an earlier one was interrupted.
    echo $((($(date +%s) - start) / 60)) >> $run/minutes
    minutes=$(awk '{ sum += $1 } END { print sum }' $run/minutes)
    # The labels of each correction by the first seed become versions, to be measured.
    evaluate="$bin evaluate $run/data --reference corrected {{flags}} --json"
    $evaluate {{given}} --source {{source}} > $run/given.json
    echo method,seed,epoch,version,given,evaluation > $run/corrected.csv
    echo given,0,,{{given}},{{given}},$run/given.json >> $run/corrected.csv
    for method in ${methods//,/ }; do
        for file in $(ls $run/bench/$method/seed-0/whole/corrections 2> /dev/null); do
            epoch=$((10#$(basename $file .json | tr -dc 0-9)))
            name=$method-$epoch
            if [ ! -e $run/$name.version ]; then
                $bin correct $run/data --run $run/bench/$method/seed-0 --epoch $epoch --name $name --json > $run/new.version
                mv $run/new.version $run/$name.version
            fi
            version=$({{python}} -c "import json, sys; print(json.load(sys.stdin)['labels'])" < $run/$name.version)
            $evaluate $version --source $name > $run/$name.json
            echo $method,0,$epoch,$version,{{given}},$run/$name.json >> $run/corrected.csv
        done
    done
    {{python}} benches/sissi.py {{name}} $run --data "{{title}}" --source {{source}} --command "just {{name}}" \
        --minutes $minutes < benches/{{name}}-meaning.md

# A U-Net on stained nuclei, five folds by field of view, and the same recipe in PyTorch for as many minutes
# (an hour and a half on 2 cores; ours resumes). Needs the data, and Python: benches/peers/nuclei.py says what.
train-nuclei data="../shared/data/he-nuclei" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/train-nuclei
    import="--images {{data}}/images --classes nucleus"
    if [ ! -e $run/data ]; then
        $bin import instances {{data}}/instances_corrected $run/data $import --source corrected
        $bin import instances {{data}}/instances_corrected $run/data $import --as-reference corrected
        {{python}} benches/nuclei_fields.py $run/data {{data}}/images
    fi
    if [ ! -e $run/unet/predictions ]; then
        $bin train $run/data --recipe benches/nuclei.toml --out $run/unet
    fi
    $bin evaluate $run/data $run/unet --reference corrected --all --json > $run/ours.json
    if [ ! -e $run/pytorch/curves.json ]; then
        {{python}} benches/peers/nuclei.py $run/unet {{data}} $run/pytorch
        $bin import instances $run/pytorch/masks $run/data $import --source pytorch --kind model
    fi
    $bin evaluate $run/data v2 --source pytorch --reference corrected --all --json > $run/pytorch.json
    {{python}} benches/nuclei.py $run {{data}} --json results/train-nuclei.json

# Every injector at 10 to 50 % on stained nuclei: requested and realised rates, a picture of each, and
# what the audit finds with a pixel classifier that did not see the labels (half an hour). Needs the data, and Python
# without packages.
noise-nuclei data="../shared/data/he-nuclei" python="python3":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    bin=${CARGO_TARGET_DIR:-target}/release/cleanslide
    run=runs/noise-nuclei
    rm -rf $run
    mkdir -p $run
    # A second class that nobody gave lets `swap` name another.
    $bin import instances {{data}}/instances_corrected $run/data --images {{data}}/images \
        --classes nucleus,other --class nucleus --source corrected
    noise() { # KIND RATE OPTIONS…
        local name=$1-$2
        $bin inject $1 $run/data --labels v1 --rate 0.$2 --name $name --sheet $run/$name.html --json \
            "${@:3}" > $run/inject-$name.json
        $bin audit $run/data --source $name --out $run/audit-$name
        $bin evaluate $run/data $run/audit-$name/issues.csv --same-from 1 --json > $run/found-$name.json
        rm -r $run/audit-$name/probabilities
    }
    for rate in 10 20 30 40 50; do
        noise drop $rate
        noise add $rate --plane haematoxylin
        noise merge $rate --gap 10
        noise split $rate
        noise dilate-erode $rate
        noise border $rate
        noise swap $rate
    done
    $bin inject expert $run/data --labels v1 --outline -1 --miss-small 60 --name expert-all \
        --sheet $run/expert-all.html --json > $run/inject-expert-all.json
    $bin audit $run/data --source expert-all --out $run/audit-expert-all
    $bin evaluate $run/data $run/audit-expert-all/issues.csv --same-from 1 --json > $run/found-expert-all.json
    # The boxes around the same nuclei, for the noise that only boxes can have.
    $bin export $run/data $run/boxes --format voc --labels v1
    $bin import voc $run/boxes $run/box-data --images {{data}}/images --source corrected
    for rate in 10 20 30 40 50; do
        for kind in shift rescale; do
            $bin inject $kind $run/box-data --labels v1 --rate 0.$rate --name $kind-$rate \
                --sheet $run/$kind-$rate.html --json > $run/inject-$kind-$rate.json
        done
    done
    {{python}} benches/noise_nuclei.py $run < benches/noise-nuclei-meaning.md
