#!/usr/bin/env bash
# Runs the ProVerif models and compares each RESULT with the table below. Needs proverif and m4; not run by ci.sh, see
# README.md.
# Usage: prove.sh [PATTERN]   (only the table lines that match the pattern)
set -euo pipefail
cd "$(dirname "$0")"

# model, query file or -, the RESULT of each query in order (t true, f false, x cannot be proved), switches
table='
handshake q_sec tt
handshake q_sec tt DHBROKEN
handshake q_sec tt KEMBROKEN
handshake q_sec ff DHBROKEN KEMBROKEN
handshake q_sec tt KEMBROKEN LOWPT
handshake q_auth_ab tttf SMALL
handshake q_accept tf DHBROKEN KEMBROKEN SMALL
handshake q_accept ff DHBROKEN KEMBROKEN NOIDBIND SMALL
handshake q_accept ff DHBROKEN KEMBROKEN NOSIGTH SMALL
handshake q_accept tf NOIDBIND
handshake q_accept tf NOSIGTH SMALL
handshake q_auth_ab ttff EPHLEAK SMALL
handshake q_accept ff EPHLEAK NOSIGTH SMALL
handshake q_sec tt CHAIN KEYLEAK DHBROKEN SMALL
handshake q_auth_ab tttf CHAIN KEYLEAK DHBROKEN SMALL
handshake q_sec tt CHAIN CHAINLEAK DHBROKEN SMALL
handshake q_auth_ab tttf CHAIN CHAINLEAK DHBROKEN SMALL
handshake q_sec ff KEYLEAK SMALL
handshake q_auth_ab ffff KEYLEAK SMALL
handshake q_auth tttff
handshake q_auth tttff KCI
handshake q_fs tt FS SMALL
handshake q_fs tt FS DHBROKEN SMALL
handshake q_fs tt FS KEMBROKEN SMALL
identity_hiding - t
identity_hiding - x NOSEAL
rekey - ttttf
rekey - fffff UNSIGNED
sealed - tft
sealed - fft NOBIND
sealed - tff PREKEYLEAK
'
cpu_limit_s=900 # per line

for tool in proverif m4; do
	if ! command -v "$tool" >/dev/null; then
		echo "no $tool found" >&2
		exit 1
	fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
surprises=0

while read -r model query expected switches; do
	[ -n "$model" ] || continue
	line="$model $query $switches"
	grep -q -- "${1:-}" <<<"$line" || continue
	args=()
	for switch in $switches; do args+=("-D$switch"); done
	[ "$query" = - ] || args+=("-DQUERY=$query.pv")
	m4 "${args[@]}" "$model.pv.m4" >"$work/model.pv"
	status=0
	(
		ulimit -t "$cpu_limit_s"
		exec proverif "$work/model.pv"
	) </dev/null >"$work/log" 2>&1 || status=$?
	got=$(sed -n -e '/^RESULT (even/d' -e '/^RESULT.* is true\.$/s/.*/t/p' -e '/^RESULT.* is false\.$/s/.*/f/p' \
		-e '/^RESULT.* cannot be proved\.$/s/.*/x/p' "$work/log" | tr -d '\n')
	if [ "$status" -eq 0 ] && [ "$got" = "$expected" ]; then
		echo "model $line expected $expected: ok"
	else
		echo "model $line expected $expected: SURPRISE, got ${got:-nothing} (exit $status)"
		surprises=$((surprises + 1))
	fi
done <<<"$table"

if [ "$surprises" -ne 0 ]; then
	echo "$surprises surprises" >&2
	exit 1
fi
