(* The one-shot sealed envelope to an offline peer, record type SEALED, which waxwire/1 reserves and refuses so far: a KEM to
   a signed prekey, an Ed25519 signature inside that covers recipient, header and KEM ciphertext. In phase 1 the signing
   keys leak; the prekey secret is erased by then.
     NOBIND      control: the signature covers neither recipient nor ciphertext
     PREKEYLEAK  control: the prekey secret leaks in phase 1 too *)
free c: channel.
type host. type skey. type pkey. type kemsk. type kempk. type coins.
fun kpk(kemsk): kempk. fun kct(kempk, coins): bitstring. fun kss(kempk, coins): bitstring.
reduc forall s: kemsk, r: coins; kdec(s, kct(kpk(s), r)) = kss(kpk(s), r).
fun pk(skey): pkey. fun sign(skey, bitstring): bitstring.
reduc forall k: skey, m: bitstring; vrfy(pk(k), m, sign(k, m)) = true.
reduc forall k: skey, m: bitstring; getmess(sign(k, m)) = m.
fun aenc(bitstring, bitstring, bitstring): bitstring.
reduc forall k: bitstring, a: bitstring, m: bitstring; adec(k, a, aenc(k, a, m)) = m.
fun kdf(bitstring, bitstring): bitstring.
const Cprekey, Csealed: bitstring.
free A, B, E: host.
free plain: bitstring [private].
event Sent(host, host, bitstring).
event Got(host, host, bitstring).
(* 2 must be false: the end is reachable. *)
query m: bitstring; event(Got(A, B, m)) ==> event(Sent(A, B, m)).
query m: bitstring; event(Got(A, B, m)).
query attacker(plain) phase 1.

define(`BOUND', ifdef(`NOBIND', `fresh', `(hdr, $1, fresh)'))

let sender(skA: skey, pkB: pkey, pkE: pkey) =
  in(c, to: host);
  let pkTo = if to = B then pkB else pkE in
  if to = B || to = E then
  in(c, (pre: kempk, id: bitstring, sg: bitstring));
  if vrfy(pkTo, (Cprekey, to, pre, id), sg) = true then
  new r: coins; new fresh: bitstring;
  let hdr = (to, id, fresh) in
  let ct = kct(pre, r) in
  let k = kdf(kss(pre, r), (hdr, ct)) in
  let body = if to = B then plain else fresh in
  let sig = sign(skA, (Csealed, BOUND(ct), body)) in
  event Sent(A, to, body);
  out(c, (hdr, ct, aenc(k, hdr, (A, sig, body)))).

let receiver(skB: skey, pkA: pkey) =
  new ps: kemsk; new id: bitstring;
  out(c, (kpk(ps), id, sign(skB, (Cprekey, B, kpk(ps), id))));
  ifdef(`PREKEYLEAK', `(phase 1; out(c, ps)) |')
  ( in(c, (hdr: bitstring, ct: bitstring, box: bitstring));
    let (=B, =id, fresh: bitstring) = hdr in
    let k = kdf(kdec(ps, ct), (hdr, ct)) in
    let (=A, sig: bitstring, body: bitstring) = adec(k, hdr, box) in
    if vrfy(pkA, (Csealed, BOUND(ct), body), sig) = true then
    event Got(A, B, body) ).

process
  new skA: skey; out(c, pk(skA));
  new skB: skey; out(c, pk(skB));
  new skE: skey; out(c, skE); out(c, pk(skE));
  ( !sender(skA, pk(skB), pk(skE)) | !receiver(skB, pk(skA)) | (phase 1; out(c, (skA, skB))) )
