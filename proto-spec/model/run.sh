#!/usr/bin/env bash
# Runs every Verifpal model and compares each verdict with the table below.
set -euo pipefail
cd "$(dirname "$0")"

# name, sessions, expected, verdict of each query in order: c confidentiality, a authentication, f freshness;
# 0 holds, 1 attack found
table='
handshake                 2 pass   c0c0a0a0f0
handshake_kem_weak        2 pass   c0c0a0a0f0
handshake_dh_weak         1 pass   c0c0a0a0f0
handshake_both_weak       1 attack c1c1a1a1f0
handshake_sig_r_unchecked 1 attack c1c0a0a1f0
handshake_sig_i_unchecked 1 attack c0c1a1a0f0
handshake_sealed          1 pass   c0c0a0a0f0
kci_initiator             1 pass   c0a0
kci_responder             1 pass   c0a0
offer                     1 pass   a0a0
offer_unbound             1 attack a1a1
audience                  1 pass   a0
audience_unbound          1 attack a1
rekey                     2 pass   c0c0a0a0
rekey_kem_weak            2 pass   c0c0a0a0
rekey_dh_weak             2 pass   c0c0a0a0
rekey_unsigned            1 attack c1c1a1a1
rekey_sig_i_unchecked     1 attack c0c1a1a0
rekey_sig_r_unchecked     1 attack c1c0a0a1
resume                    2 pass   c0c0a0a0f0
resume_chain_leaks_later  1 pass   c0c0a0a0f0
resume_chain_stolen       1 pass   c0c0a0a0f0
resume_no_chain           1 attack c1c1a1a1f0
'
cpu_limit_s=120 # per model

verifpal=$(command -v verifpal || true)
if [ -z "$verifpal" ] && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/verifpal" ]; then
	verifpal=${CARGO_HOME:-$HOME/.cargo}/bin/verifpal
fi
if [ -z "$verifpal" ]; then
	echo 'no verifpal found: cargo install verifpal --version 1.6.7 --ignore-rust-version --locked' >&2
	exit 1
fi
version=$("$verifpal" --version)
if [ "$version" != 'verifpal 1.6.7' ]; then
	echo "found $version, the table is for 1.6.7: cargo install verifpal --version 1.6.7 --ignore-rust-version --locked" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
surprises=0

for file in *.vp; do
	if ! grep -q "^${file%.vp} " <<<"$table"; then
		echo "model ${file%.vp}: not in the table"
		surprises=$((surprises + 1))
	fi
done

while read -r name sessions expected code; do
	[ -n "$name" ] || continue
	status=0
	(
		ulimit -t "$cpu_limit_s"
		exec "$verifpal" verify "$name.vp" --sessions "$sessions" --fail-on-attack --result-code --quiet --color never
	) </dev/null >"$log" 2>&1 || status=$?
	case $status in
	0) result=pass ;;
	2) result=attack ;;
	*) result="error $status" ;;
	esac
	got=$(tail -n 1 "$log")
	if [ "$result" = "$expected" ] && [ "$got" = "$code" ]; then
		echo "model $name expected $expected: ok"
	else
		echo "model $name expected $expected ($code): SURPRISE, got $result ($got)"
		surprises=$((surprises + 1))
	fi
done <<<"$table"

if [ "$surprises" -ne 0 ]; then
	echo "$surprises surprises" >&2
	exit 1
fi
