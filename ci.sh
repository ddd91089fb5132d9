#!/usr/bin/env bash
# Everything that is checked, one function per job, the same at home and in CI.
#
#   ./ci.sh             lists the jobs
#   ./ci.sh JOB...      runs them in order; the first failure ends the run with its exit code
#
# FUZZ_SECONDS=60 FUZZ_TARGETS="a b" FUZZ_SANITIZER=none|address   for `fuzz`
# CHROMIUM=/path/of/chromium                                      for `browser`
# PYTHON27=/path/of/python2.7                                     for `autobahn`
# CT_SECONDS=24                                                   for `ct`
# SEED=7 NET_SEEDS=100 SIM_START=0                                for `net`; a SEED prints its trace
# MUTANTS_ARGS="--in-diff change.diff"                            for `mutants`
# ROUNDS=1000 SEED=7                                              for `kill`
# SEED=7 SEEDS=2000 SIM_START=0                                   for `sim`; a SEED prints its trace
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${CI:-}" ]; then
    export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
fi

# Tests are of what users get: without the flags that .cargo/config.toml gives our own binaries.
export RUSTFLAGS=${RUSTFLAGS-}

binaries=${CARGO_TARGET_DIR:-target}/debug
crate_budget=90 # crates in the default build, this one included

job_test() { # setup fmt lint house features unit sim examples, and deny where cargo-deny is installed
    local job
    for job in setup fmt lint house features unit sim examples; do
        run "$job"
    done
    if command -v cargo-deny >/dev/null; then
        run deny
    else
        say "not run: deny (cargo-deny is not installed)"
    fi
}

job_setup() { # install what is missing of: rustfmt, clippy, a C compiler, openssl; fetch the crates
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    local packages=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)  # links every binary, builds aws-lc
    command -v c++ >/dev/null || packages+=(g++)           # builds libFuzzer
    command -v openssl >/dev/null || packages+=(openssl)   # makes and reads key files in tests
    [ ${#packages[@]} = 0 ] || install "${packages[@]}"
    cargo fetch --locked
}

job_fmt() { # formatting of the crate, the benches, the fuzz targets and tests/ct
    cargo fmt --all --check
    [ ! -f fuzz/Cargo.toml ] || cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo fmt --manifest-path tests/ct/Cargo.toml --check
}

job_lint() { # clippy in three builds, rustdoc for users and for developers; no warning passes
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo clippy --locked -p waxwire --all-targets --no-default-features -- -D warnings
    cargo clippy --locked -p waxwire --all-targets --features aws-lc -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked -p waxwire --no-deps --features test-utils
    RUSTDOCFLAGS="-D warnings" cargo doc --locked -p waxwire --no-deps --document-private-items
}

job_house() { # the floor table, no tokio below the runtime, the number of crates
    local tree crates
    tree=$(cargo tree --locked -p waxwire --no-default-features -e normal --prefix none)
    if grep -q '^tokio' <<<"$tree"; then
        cargo tree --locked -p waxwire --no-default-features -e normal -i tokio
        fail "tokio is reached without the feature runtime"
    fi
    crates=$(cargo tree --locked -p waxwire -e normal --prefix none | cut -d' ' -f1,2 | sort -u | wc -l)
    say "$crates crates in the default build, $crate_budget allowed"
    [ "$crates" -le "$crate_budget" ] || fail "too many crates; say in a commit why the budget rises"
    cargo test --locked -p waxwire --test house
}

job_unit() { # every test and doctest, the model, the fuzz corpora, the tests again with both providers and stores
    cargo test --locked -p waxwire
    cargo test --locked -p waxwire-model -- --nocapture
    cargo test --locked -p waxwire --no-default-features --features __fuzz --test corpus -- --nocapture
    cargo test --locked -p waxwire --features aws-lc,store-redb,test-utils --lib --tests
    cargo test --locked -p waxwire --features test-utils --doc testing
}

job_features() { # each feature alone, all together, the fuzz targets and tests/ct compile without a warning
    local feature
    sed -n '/^\[features\]/,/^$/s/^\([a-z_-]*\) *=.*/\1/p' Cargo.toml | while read -r feature; do
        say "feature $feature"
        cargo clippy --locked -p waxwire --lib --no-default-features --features "$feature" -- -D warnings
    done
    cargo clippy --locked -p waxwire --lib --all-features -- -D warnings
    # As the fuzz targets build it: with the mock cipher.
    cargo clippy --locked -p waxwire --lib --no-default-features --features __fuzz -- -D warnings --cfg fuzzing
    cargo clippy --locked -p waxwire --no-default-features --features __fuzz --test corpus --test sim -- -D warnings
    cargo clippy --locked -p waxwire --features __fuzz --test autobahn -- -D warnings
    cargo clippy --locked -p waxwire --features __fuzz,store-redb,test-utils --test it --test kill --test net -- -D warnings
    [ ! -f fuzz/Cargo.toml ] || cargo check --locked --manifest-path fuzz/Cargo.toml
    [ "$(uname -m)" != x86_64 ] || cargo check --locked --manifest-path tests/ct/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}"
}

job_examples() { # run every example; echo alone, echo_backend with echo_agent, the others
    work=$(mktemp -d)
    trap clean_up EXIT

    timeout 300 cargo run --locked --example echo | tee "$work/echo"
    wanted "$work/echo" '^backend: ' '^agent: ' '^heard: ' '^wire: ' 'holds 0 of the'

    cargo build --locked -p waxwire --examples --features store-redb
    example channels 'refused it with code 4' 'disks: 2 messages, 28 bytes'
    example priorities 'critical: .* is here' 'bulk: all 4194304 bytes' 'at the median'
    example requests '100 % of' '1200 items in order' 'the handler stopped' 'the deadline passed'
    example resume 'process 5 is killed' ' 0 are lost and 0 were handled twice'
    example commands 'kernel-6.1 is gone; run 1' 'went on as Resumed' \
        'openssl-3.6 is gone; run 2' 'time to live was over'
    example custom_transport '^wire: cut' '^sessions: \[Fresh, Resumed'
    example secrets_agent 'db/password, version 1' 'renewed for' 'lease.revoked'
    example edge_relay '^send_message *Succeeded' '^cancel_message *Failed' '^status of box-12'
    example tool_calls '^audit' 'uptime .* succeeded' 'rm .* failed: no such tool'
    example security_agent '1 of 1 apply it' 'Critical agent.host-9.threats' 'removed /tmp/.x'
    example no_runtime 'on both sides: true'
    two_processes
    clean_up
    trap - EXIT
}

job_sim() { # play SEEDS (2000) seeds of the simulation, from one that the commit says; SEED plays one
    local commit
    commit=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 0)
    export SIM_START=${SIM_START:-$((16#$commit * 1000))} SEEDS=${SEEDS:-2000}
    timeout "${SIM_SECONDS:-900}" cargo test --locked -p waxwire --profile sim --no-default-features \
        --features __fuzz --test sim -- --nocapture
}

job_net() { # play NET_SEEDS (100) seeds of agents and a backend on simulated hosts and sockets; SEED plays one and prints its trace
    local commit
    commit=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 0)
    export SIM_START=${SIM_START:-$((16#$commit * 1000))}
    # SEEDS is for the faster simulation.
    SEEDS=${NET_SEEDS:-100} timeout "${SIM_SECONDS:-900}" cargo test --locked -p waxwire --profile sim --no-default-features \
        --features __fuzz,test-utils,websocket --test net -- --nocapture
}

job_sim_long() { # play 100000 seeds of the simulation
    SEEDS=${SEEDS:-100000} SIM_SECONDS=${SIM_SECONDS:-10800} job_sim
}

job_kill() { # kill a process with a store on disk ROUNDS (1000) times, half of them an agent and half a backend
    COMMANDS=${COMMANDS-1} ROUNDS=${ROUNDS:-1000} timeout 1800 cargo test --locked -p waxwire --features store-redb --test kill -- --ignored --nocapture
}

job_planted() { # plant one bug after another into a copy; the simulation finds each within 2000 seeds
    local copy folder patch log
    # The same folder as `sim` builds in, so that only the copy itself is built.
    mkdir -p "${CARGO_TARGET_DIR:-target}/planted"
    folder=$(cd "${CARGO_TARGET_DIR:-target}/planted" && pwd)
    copy=$folder/copy log=$folder/log
    rm -rf "$copy"
    mkdir -p "$copy"
    git ls-files -z | xargs -0 cp --parents -t "$copy"
    for patch in tests/sim/planted/*.patch; do
        patch -s -d "$copy" -p1 <"$patch"
        (
            cd "$copy"
            export CARGO_TARGET_DIR=${folder%/planted} CARGO_INCREMENTAL=1
            cargo test --locked -p waxwire --profile sim --no-default-features --features __fuzz --test sim --no-run
            ! SEED='' SEEDS=2000 SIM_START=0 timeout 900 cargo test --locked -p waxwire --profile sim \
                --no-default-features --features __fuzz --test sim -- --nocapture whatever >"$log" 2>&1
        ) || fail "the simulation does not find $patch, or it does not compile"
        wanted "$log" '^simulation: seed [0-9]* fails: '
        say "$(basename "$patch"): $(sed -n 's/^simulation: found/found/p' "$log"), $(sed -n 's/^simulation: \(seed [0-9]* fails: .*\)/\1/p' "$log" | cut -c1-120)"
        patch -s -R -d "$copy" -p1 <"$patch"
    done
}

job_ct() { # follow secrets through a release under valgrind, search its memory, time refusals for CT_SECONDS
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        say "not run: ct (valgrind is asked on Linux x86_64 only)"
        return
    fi
    command -v valgrind >/dev/null || install valgrind libc6-dbg
    local folder=${CARGO_TARGET_DIR:-target} log
    log=$folder/release/follow.log
    # The code that users have, with the flag that README advises and last without it.
    for RUSTFLAGS in '--cfg poly1305_backend="soft"' ''; do
        say "follow with RUSTFLAGS='$RUSTFLAGS'"
        cargo build --locked --release --manifest-path tests/ct/Cargo.toml --target-dir "$folder"
        valgrind -q --suppressions=tests/ct/public.supp --log-file="$log" "$folder/release/follow" || {
            cat "$log"
            fail "what a clock may see depends on a secret; the reports above are those of the controls, too"
        }
    done
    cargo test --locked --release --manifest-path tests/ct/Cargo.toml --target-dir "$folder" --test memory
    say "the times of refusals; they only inform, and a busy machine measures badly"
    "$folder/release/refusals" "${CT_SECONDS:-24}"
}

job_browser() { # a page of another origin is refused by a real browser's WebSocket, and served once allowed
    local browser
    browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
    if [ -z "$browser" ] || ! command -v python3 >/dev/null; then
        [ -z "${CI:-}" ] || fail "browser needs chromium and python3"
        say "NOT RUN: browser (needs chromium and python3: apt-get install chromium python3)"
        return
    fi
    work=$(mktemp -d)
    trap clean_up EXIT
    cargo build --locked -p waxwire --example echo_backend
    serve_page
    visit 127.0.0.1 '^report from http://127.0.0.1:[0-9]*: close 1006$' 'of an origin that is not allowed'
    serve_page
    # The same page under the name of another host is another origin.
    visit 127.0.0.1 '^report from http://127.0.0.1:[0-9]*: close 1006$' 'of an origin that is not allowed' \
        --origin "http://localhost:$page_port" --origin "http://127.0.0.1:$((page_port + 1))"
    serve_page
    visit localhost '^report from http://localhost:[0-9]*: open close 100[0-9]$' 'no session with this peer' \
        --origin "http://localhost:$page_port"
    clean_up
    trap - EXIT
}

job_autobahn() { # the Autobahn suite (RFC 6455) against the WebSocket transport, compared with tests/autobahn/expected.txt
    local python folder=${CARGO_TARGET_DIR:-target}/autobahn
    # A shim of pyenv has the name and need not have the version.
    for python in "${PYTHON27:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7 ''; do
        [ -z "$python" ] || ! "$python" -m pip --version >/dev/null 2>&1 || break
    done
    if [ -z "$python" ]; then
        [ -z "${CI:-}" ] || fail "autobahn needs Python 2.7 with pip"
        say "NOT RUN: autobahn (needs Python 2.7 with pip: pyenv install 2.7.18, or PYTHON27=/path/of/python2.7)"
        return
    fi
    if [ ! -d "$folder/suite/autobahntestsuite-25.10.1.dist-info" ]; then
        rm -rf "$folder/suite"
        "$python" -m pip install --quiet --target "$folder/suite" autobahntestsuite==25.10.1
    fi
    rm -rf "$folder/reports"
    AUTOBAHN_PYTHON=$python AUTOBAHN_SUITE=$folder/suite AUTOBAHN_REPORTS=$folder/reports \
        cargo test --locked -p waxwire --features __fuzz --test autobahn -- --ignored --nocapture
}

job_deny() { # advisories, licences, sources, banned features; offline, with ../shared/advisory-db
    if ! command -v cargo-deny >/dev/null; then
        say "not run: deny (cargo-deny is not installed: cargo install --locked cargo-deny --version 0.20.2)"
        return
    fi
    cargo fetch --locked
    cargo deny --offline check bans licenses sources
    if [ ! -d ../shared/advisory-db ]; then
        say "not run: deny advisories (no folder ../shared/advisory-db; online: cargo deny check advisories)"
        return
    fi
    # cargo-deny wants a fetched git work tree under a name made from its default address.
    local folder=${CARGO_TARGET_DIR:-target}/deny
    local database=$folder/db/advisory-db-3157b0e258782691
    rm -rf "$folder"
    mkdir -p "$database"
    cp -R ../shared/advisory-db/. "$database"
    chmod -R u+w "$database"
    git -C "$database" init -q
    git -C "$database" add -A
    git -C "$database" -c user.name=ci -c user.email=ci@localhost -c commit.gpgsign=false commit -q -m snapshot
    touch "$database/.git/FETCH_HEAD"
    local absolute
    absolute=$(cd "$folder" && pwd)
    sed "s|^\[advisories\]|&\ndb-path = \"$absolute/db\"|" deny.toml >"$folder/deny.toml"
    cargo deny --offline --config "$folder/deny.toml" check advisories
}

job_fuzz() { # each fuzz target for FUZZ_SECONDS on stable; what it finds goes to fuzz/target/corpus
    tool cargo-fuzz 0.13.2 cargo fuzz --version
    local sanitizer=${FUZZ_SANITIZER:-none} seconds=${FUZZ_SECONDS:-60} target log
    # Stable rustc ships the sanitizer and hides the flag; without one nothing is hidden.
    [ "$sanitizer" = none ] || export RUSTC_BOOTSTRAP=1
    for target in ${FUZZ_TARGETS:-$(cargo fuzz list)}; do
        log=fuzz/target/log/$target.txt
        local corpora=("fuzz/target/corpus/$target")
        [ ! -d "fuzz/corpus/$target" ] || corpora+=("fuzz/corpus/$target")
        mkdir -p "fuzz/target/corpus/$target" fuzz/target/log
        cargo fuzz run -s "$sanitizer" "$target" "${corpora[@]}" -- -max_total_time="$seconds" \
            -max_len=17000 -len_control=10 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1 || {
            tail -n 60 "$log"
            fail "fuzz target $target; the whole output is in $log"
        }
        say "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions in $seconds s, sanitizer $sanitizer"
    done
}

job_model() { # the Verifpal models of the handshake and their negative controls
    [ -f proto-spec/model/run.sh ] || fail "proto-spec/model/run.sh is missing"
    tool verifpal 1.6.7 verifpal --version
    bash proto-spec/model/run.sh
}

job_interop() { # the second implementation, in Python, replays every vector
    local venv=${CARGO_TARGET_DIR:-target}/interop
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -c 'import cryptography' 2>/dev/null ||
        "$venv/bin/pip" install --quiet 'cryptography==50.0.2'
    "$venv/bin/python" proto-spec/vectors/check.py
}

job_mutants() { # mutation tests of header, crypto, wire and session; a survivor needs a test or a reason
    tool cargo-mutants 27.1.0 cargo mutants --version
    local wire=(-f src/header.rs -f 'src/crypto/**' -f 'src/wire/**') session=(-f 'src/session/**')
    # The crypto tests skipped here take seconds (Wycheproof); mutants that only they notice meet them next.
    mutants wire "${wire[@]}" -- header:: crypto:: wire:: --skip crypto::tests
    mutants session "${session[@]}" -- session:: --skip a_nonce_never_comes_twice
}

# Two runs over one part of the sources: with its unit tests, named by the arguments after `--`, then
# with all tests for what those missed. Measured on two cores that others used too (load 10 to 20): 9 s
# a mutant in the first run of session, 2 to 3 s in that of wire and crypto, 35 to 40 s in the second;
# there are 1 295 mutants.
mutants() {
    local out=${CARGO_TARGET_DIR:-target}/mutants/$1 args=() extra status=0
    shift
    while [ "$1" != -- ]; do
        args+=("$1")
        shift
    done
    read -ra extra <<<"${MUTANTS_ARGS:-}"
    mkdir -p "$out"
    args=(env -u CARGO_INCREMENTAL PROPTEST_CASES=16 cargo mutants --no-shuffle -o "$out" "${args[@]}" "${extra[@]}")
    "${args[@]}" --cargo-arg=--lib -- -- "${@:2}" || status=$?
    case $status in
        0) return ;;
        2 | 3) ;; # some were missed, or took too long
        *) return "$status" ;;
    esac
    "${args[@]}" --iterate --cargo-arg=--lib --cargo-arg=--test=it --cargo-arg=--test=vectors -- \
        -- --skip misuse_does_not_compile
}

job_bench() { # the ratios of docs/PERFORMANCE.md, with the default provider and with aws-lc
    unset RUSTFLAGS # those of .cargo/config.toml hold
    cargo test --locked -p waxwire --no-default-features --lib --test vectors -- crypto vectors
    command -v nats-server >/dev/null || install nats-server # what messages are compared with
    local bench
    for bench in session messages; do
        cargo bench --locked --bench "$bench"
        cargo bench --locked --bench "$bench" --features aws-lc
    done
}

# Serves the page for one visit; sets page_port.
serve_page() {
    python3 tests/browser/serve.py >"$work/page" &
    page=$!
    eventually '^[0-9]' "$work/page"
    page_port=$(sed -n 1p "$work/page")
}

# Starts a backend with the options that are left, opens the page as HOST in the browser, and wants
# REPORT of the page and LOGGED of the backend: HOST REPORT LOGGED [OPTION...]
visit() {
    local host=$1 report=$2 logged=$3 url
    shift 3
    "$binaries/examples/echo_backend" --listen 127.0.0.1:0 --key "$work/backend.pem" "$@" >"$work/backend" 2>&1 &
    backend=$!
    eventually 'ws://' "$work/backend"
    url=$(sed -n 's|.*\(ws://[^ ]*\).*|\1|p' "$work/backend")
    "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" \
        "http://$host:$page_port/#$url" >"$work/browser" 2>&1 &
    shown=$!
    eventually '^report' "$work/page" || { tail -n 20 "$work/browser" && fail "the page reports nothing"; }
    sed 's/^/page    | /' "$work/page"
    eventually "$logged" "$work/backend" || true
    sed 's/^/backend | /' "$work/backend"
    stop "$shown" "$page" "$backend"
    shown= page= backend=
    wanted "$work/page" "$report"
    wanted "$work/backend" "$logged"
}

# Waits for a line with this pattern in the file, up to 30 s.
eventually() {
    local tries
    for tries in $(seq 300); do
        ! grep -qi -- "$1" "$2" || return 0
        sleep 0.1
    done
    say "'$1' does not come in $(basename "$2") within $((tries / 10)) s"
    return 1
}

# Ends processes of ours, and waits until they are gone.
stop() {
    local process
    for process; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
}

# What a job left running or lying about.
clean_up() {
    stop ${shown:-} ${page:-} ${backend:-}
    rm -rf "$work"
}

# Runs an example for a minute at most, and wants lines of it: NAME PATTERN...
example() {
    local name=$1
    shift
    say "example $name"
    timeout 60 "$binaries/examples/$name" | tee "$work/$name"
    wanted "$work/$name" "$@"
}

# Makes the agent's key, starts a backend that admits it, runs the agent with the arguments that the
# backend prints, and wants each typed line back.
two_processes() {
    local pin agent=() status=0
    timeout 60 "$binaries/examples/echo_agent" --key "$work/agent.pem" >"$work/key"
    pin=$(sed -n 's/^agent key //p' "$work/key")
    "$binaries/examples/echo_backend" --listen 127.0.0.1:0 --key "$work/backend.pem" --agent "$pin" \
        >"$work/backend" 2>&1 &
    backend=$!
    for _ in $(seq 100); do
        read -ra agent < <(sed -n 's/.*echo_agent -- *//p' "$work/backend") && break
        sleep 0.1
    done
    if [ ${#agent[@]} -gt 0 ]; then
        printf 'first line\nsecond line\n' |
            timeout 60 "$binaries/examples/echo_agent" "${agent[@]}" --key "$work/agent.pem" \
                >"$work/agent" 2>&1 || status=$?
        # A stranger knows where the backend is, and is refused.
        ! timeout 60 "$binaries/examples/echo_agent" "${agent[@]}" --key "$work/other.pem" \
            </dev/null >"$work/stranger" 2>&1 || fail "an agent that was not admitted got in"
    fi
    kill "$backend" || fail "echo_backend ended by itself: $(cat "$work/backend")"
    wait "$backend" || true
    backend=
    sed 's/^/backend | /' "$work/backend"
    [ ${#agent[@]} -gt 0 ] || fail "echo_backend printed no line with 'echo_agent -- ARGUMENTS'"
    sed 's/^/agent   | /' "$work/agent"
    [ "$status" = 0 ] || fail "echo_agent ended with exit code $status"
    wanted "$work/agent" '^echo: first line' '^echo: second line'
    wanted "$work/stranger" '^error: handshake failed: '
    wanted "$work/backend" 'is not pinned'
    local key
    for key in "$work/backend.pem" "$work/agent.pem"; do
        [ "$(stat -c %a "$key")" = 600 ] || fail "$key is readable by others"
        openssl pkey -in "$key" -noout || fail "openssl does not read $key"
    done
}

# Installs Debian packages, or says which are missing.
install() {
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        fail "please install: $*"
    fi
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
}

# Installs a tool of exactly this version unless it is there: NAME VERSION HOW-TO-ASK...
tool() {
    local name=$1 version=$2
    shift 2
    if command -v "$name" >/dev/null && [[ $("$@" 2>/dev/null) == *"$version"* ]]; then
        return
    fi
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        cargo install --locked --ignore-rust-version "$name" --version "$version"
}

# Fails unless each pattern stands in the file.
wanted() {
    local file=$1 pattern
    shift
    for pattern in "$@"; do
        grep -qi -- "$pattern" "$file" || fail "the output of $(basename "$file") holds no '$pattern'"
    done
}

say() {
    printf 'ci.sh: %s\n' "$*"
}

fail() {
    printf 'ci.sh: %s\n' "$*" >&2
    exit 1
}

run() {
    local job=${1//-/_} start=$SECONDS
    declare -F "job_$job" >/dev/null || fail "there is no job '$1'; ./ci.sh lists them"
    say "== $1"
    "job_$job"
    say "== $1: $((SECONDS - start)) s"
}

if [ $# = 0 ]; then
    sed -n 's/^job_\([a-z_]*\)() { # \(.*\)/\1\t\2/p' "$0" | sed 's/^\([a-z]*\)_/\1-/' | expand -t 10
    exit 0
fi
for job in "$@"; do
    run "$job"
done
