(* An active attacker cannot tell which of two initiators connects to R (observational equivalence).
   The responder's identity is not claimed: whoever passes the knock learns it. Pinned keys, handshake only.
     NOSEAL  control: I's block is sent in clear *)
set simplifyProcess = false.
free c: channel.
type skey. type pkey. type exponent. type G. type kemsk. type kempk. type coins.
const g: G.
fun exp(G, exponent): G.
equation forall x: exponent, y: exponent; exp(exp(g, x), y) = exp(exp(g, y), x).
fun g2b(G): bitstring [typeConverter].
fun kpk(kemsk): kempk. fun kct(kempk, coins): bitstring. fun kss(kempk, coins): bitstring.
reduc forall s: kemsk, r: coins; kdec(s, kct(kpk(s), r)) = kss(kpk(s), r).
fun pk(skey): pkey. fun sign(skey, bitstring): bitstring.
reduc forall k: skey, m: bitstring; vrfy(pk(k), m, sign(k, m)) = true.
reduc forall k: skey, m: bitstring; getmess(sign(k, m)) = m.
fun aenc(bitstring, bitstring, bitstring): bitstring.
reduc forall k: bitstring, a: bitstring, m: bitstring; adec(k, a, aenc(k, a, m)) = m.
fun h(bitstring): bitstring. fun hmac(bitstring, bitstring): bitstring.
fun extract(bitstring, bitstring): bitstring. fun xl(bitstring, bitstring, bitstring): bitstring.
const th0, es, Lrhs, Lihs, Lrfin, Lifin, CsigR, CsigI: bitstring.

let initiator(skI: skey, pkR: pkey) =
  new x: exponent; new dk: kemsk;
  let gx = exp(g, x) in let ek = kpk(dk) in
  out(c, (gx, ek));
  in(c, (gy: G, ct: bitstring, block2: bitstring));
  let thc = h((th0, gx, ek, gy, ct)) in
  let hs = extract(es, (kdec(dk, ct), g2b(exp(gy, x)))) in
  let (=pkR, sigR: bitstring, finR: bitstring) = adec(xl(hs, Lrhs, thc), thc, block2) in
  let ta = h((thc, pkR)) in
  if vrfy(pkR, (CsigR, ta), sigR) = true then
  let tb = h((ta, sigR)) in
  if finR = hmac(xl(hs, Lrfin, thc), tb) then
  let th2 = h((tb, finR)) in
  let ta2 = h((th2, pk(skI), pkR)) in
  let sigI = sign(skI, (CsigI, ta2)) in
  let finI = hmac(xl(hs, Lifin, thc), h((ta2, sigI))) in
  out(c, ifdef(`NOSEAL', `(pk(skI), pkR, sigI, finI)', `aenc(xl(hs, Lihs, thc), th2, (pk(skI), pkR, sigI, finI))')).

let responder(skR: skey) =
  in(c, (gx: G, ek: kempk));
  new y: exponent; new r: coins;
  let gy = exp(g, y) in let ct = kct(ek, r) in
  let thc = h((th0, gx, ek, gy, ct)) in
  let hs = extract(es, (kss(ek, r), g2b(exp(gx, y)))) in
  let ta = h((thc, pk(skR))) in
  let sigR = sign(skR, (CsigR, ta)) in
  let finR = hmac(xl(hs, Lrfin, thc), h((ta, sigR))) in
  out(c, (gy, ct, aenc(xl(hs, Lrhs, thc), thc, (pk(skR), sigR, finR)))).

process
  new skR: skey; out(c, pk(skR));
  new sk1: skey; out(c, pk(sk1));
  new sk2: skey; out(c, pk(sk2));
  ( !initiator(choice[sk1, sk2], pk(skR)) | !responder(skR) )
