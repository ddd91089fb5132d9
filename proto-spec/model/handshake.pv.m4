(* The waxwire/1 handshake with certificates, any number of sessions, an active attacker.
   Long-term keys sign; X25519 and ML-KEM-768 shares are fresh. Dishonest identities exist: the CA certifies any
   key they show, also an honest one's.

   Use with one query file: m4 -DQUERY=q_sec.pv [-DSWITCH ...] handshake.pv.m4

   Assumption switches (what the attacker is given):
     DHBROKEN    every X25519 secret, as soon as it exists
     KEMBROKEN   every ML-KEM secret and every encapsulation coin, as soon as it exists
     EPHLEAK     I's X25519 and ML-KEM secrets, after FINISH is sent
     KCI         A's signing key, from the start (event Compromised)
     KEYLEAK     all signing keys and the CA key, from the start
     FS          all signing keys and the CA key, in phase 1
     CHAINLEAK   the chain secret, from the start (with CHAIN)
   Protocol switches (what differs from the handshake without a chain):
     CHAIN       chained resume: ES takes a secret of the pair, HELLO carries rid and binder
     LOWPT       X25519 has a low-order point and nobody checks for it
     NOSIGTH     control: a signature covers the signer's X25519 share only
     NOIDBIND    control: identities and audience are not under the signatures
     SMALL       A only initiates, B only responds *)
free c: channel.
type host. type skey. type pkey. type exponent. type G. type kemsk. type kempk. type coins.

(* X25519 *)
const g: G. const lo: G.
fun exp(G, exponent): G.
equation forall x: exponent, y: exponent; exp(exp(g, x), y) = exp(exp(g, y), x).
fun dhlow(G, exponent): G
  reduc forall x: exponent; dhlow(lo, x) = lo
  otherwise forall p: G, x: exponent; dhlow(p, x) = exp(p, x).
fun g2b(G): bitstring [typeConverter].
(* ML-KEM *)
fun kpk(kemsk): kempk.
fun kct(kempk, coins): bitstring.
fun kss(kempk, coins): bitstring.
reduc forall s: kemsk, r: coins; kdec(s, kct(kpk(s), r)) = kss(kpk(s), r).
(* Ed25519 *)
fun pk(skey): pkey.
fun sign(skey, bitstring): bitstring.
reduc forall k: skey, m: bitstring; vrfy(pk(k), m, sign(k, m)) = true.
reduc forall k: skey, m: bitstring; getmess(sign(k, m)) = m.
(* AEAD: key, aad, plaintext. Nonce 0 in the handshake, each key used once. *)
fun aenc(bitstring, bitstring, bitstring): bitstring.
reduc forall k: bitstring, a: bitstring, m: bitstring; adec(k, a, aenc(k, a, m)) = m.
fun h(bitstring): bitstring.
fun hmac(bitstring, bitstring): bitstring.
fun extract(bitstring, bitstring): bitstring. (* salt, ikm *)
fun xl(bitstring, bitstring, bitstring): bitstring. (* secret, label, ctx *)

const label, suite, realm, zero, empty: bitstring.
const agent, backend: bitstring. (* roles *)
const Lbind, Lrid, Lder, Lrhs, Lihs, Lrfin, Lifin, Liap, Lrap: bitstring. (* key schedule labels *)
const CsigR, CsigI, Ccred: bitstring. (* signature contexts *)
const accept: bitstring.

free A, B: host.
free secI, secR: bitstring [private].
table ids(host, skey).
ifdef(`CHAIN', `fun chain(host, host): bitstring [private].')

event Compromised(host).
event IRun(host, host, bitstring).  (* I sends FINISH: initiator, responder, TH3 *)
event RAcc(host, host, bitstring).  (* R accepts FINISH: TH3 *)
event RRun(host, bitstring).        (* R sends REPLY: responder, TH2 *)
event ISawR(host, host, bitstring). (* I accepts REPLY: TH2 *)
event IConf(host, host, bitstring). (* I opens ACCEPT: TH3 *)

letfun th0 = h((suite, h((label, realm, agent, backend)))).
letfun cred(ca: skey, i: host, role: bitstring, p: pkey) = (i, role, realm, p, sign(ca, (Ccred, i, role, realm, p))).

define(`DH', ifdef(`LOWPT', `dhlow($1, $2)', `exp($1, $2)'))
define(`SIGR', ifdef(`NOSIGTH', `(CsigR, g2b($2))', `(CsigR, $1)'))
define(`SIGI', ifdef(`NOSIGTH', `(CsigI, g2b($2))', `(CsigI, $1)'))
define(`ES', ifdef(`CHAIN', `extract(zero, psk)', `extract(zero, zero)'))

let initiator(ca: pkey, caS: skey) =
  ifdef(`SMALL', `get ids(=A, skI) in let idI = A in', `get ids(idI, skI) in')
  in(c, idR: host);
  new x: exponent; new dk: kemsk;
  ifdef(`DHBROKEN', `out(c, x);')
  ifdef(`KEMBROKEN', `out(c, dk);')
  let gx = exp(g, x) in
  let ek = kpk(dk) in
  ifdef(`CHAIN', `let psk = chain(idI, idR) in')
  let es = ES in
  ifdef(`CHAIN', `let rid = xl(psk, Lrid, empty) in
  let hello = (gx, ek, rid, hmac(xl(es, Lbind, empty), h((gx, ek, rid)))) in', `let hello = (gx, ek) in')
  out(c, hello);
  in(c, (gy: G, ct: bitstring, block2: bitstring));
  let ssx = DH(gy, x) in
  let thc = h((th0, hello, gy, ct)) in
  let hs = extract(xl(es, Lder, empty), (kdec(dk, ct), g2b(ssx))) in
  let (credR: bitstring, sigR: bitstring, finR: bitstring) = adec(xl(hs, Lrhs, thc), thc, block2) in
  let (=idR, =backend, =realm, pkR: pkey, csig: bitstring) = credR in
  if vrfy(ca, (Ccred, idR, backend, realm, pkR), csig) = true then
  let ta = ifdef(`NOIDBIND', `h(thc)', `h((thc, credR))') in
  if vrfy(pkR, SIGR(ta, gy), sigR) = true then
  let tb = h((ta, sigR)) in
  if finR = hmac(xl(hs, Lrfin, thc), tb) then
  let th2 = h((tb, finR)) in
  event ISawR(idI, idR, th2);
  let credI = cred(caS, idI, agent, pk(skI)) in
  let ta2 = ifdef(`NOIDBIND', `h(th2)', `h((th2, credI, pkR))') in
  let sigI = sign(skI, SIGI(ta2, gx)) in
  let tb2 = h((ta2, sigI)) in
  let finI = hmac(xl(hs, Lifin, thc), tb2) in
  let th3 = h((tb2, finI)) in
  let ms = extract(xl(hs, Lder, empty), zero) in
  event IRun(idI, idR, th3);
  out(c, aenc(xl(hs, Lihs, thc), th2, (credI, ifdef(`NOIDBIND', `accept', `pkR'), sigI, finI)));
  ifdef(`EPHLEAK', `out(c, (x, dk));')
  ( if idR = B ifdef(`SMALL', `', `|| idR = A') then out(c, aenc(xl(ms, Liap, th3), empty, secI)) )
  | ( in(c, m4: bitstring);
      if adec(xl(ms, Lrap, th3), empty, m4) = accept then
      event IConf(idI, idR, th3) ).

let responder(ca: pkey, caS: skey) =
  ifdef(`SMALL', `get ids(=B, skR) in let idR = B in', `get ids(idR, skR) in')
  ifdef(`CHAIN', `in(c, peer: host);
  let psk = chain(peer, idR) in')
  let es = ES in
  in(c, hello: bitstring);
  ifdef(`CHAIN', `let (gx: G, ek: kempk, rid: bitstring, binder: bitstring) = hello in
  if rid = xl(psk, Lrid, empty) then
  if binder = hmac(xl(es, Lbind, empty), h((gx, ek, rid))) then', `let (gx: G, ek: kempk) = hello in')
  new y: exponent; new r: coins;
  ifdef(`DHBROKEN', `out(c, y);')
  ifdef(`KEMBROKEN', `out(c, r);')
  let gy = exp(g, y) in
  let ssx = DH(gx, y) in
  let ct = kct(ek, r) in
  let thc = h((th0, hello, gy, ct)) in
  let hs = extract(xl(es, Lder, empty), (kss(ek, r), g2b(ssx))) in
  let credR = cred(caS, idR, backend, pk(skR)) in
  let ta = ifdef(`NOIDBIND', `h(thc)', `h((thc, credR))') in
  let sigR = sign(skR, SIGR(ta, gy)) in
  let tb = h((ta, sigR)) in
  let finR = hmac(xl(hs, Lrfin, thc), tb) in
  let th2 = h((tb, finR)) in
  event RRun(idR, th2);
  out(c, (gy, ct, aenc(xl(hs, Lrhs, thc), thc, (credR, sigR, finR))));
  in(c, block3: bitstring);
  let (credI: bitstring, audience: ifdef(`NOIDBIND', `bitstring', `pkey'), sigI: bitstring, finI: bitstring) = adec(xl(hs, Lihs, thc), th2, block3) in
  ifdef(`NOIDBIND', `', `if audience = pk(skR) then')
  let (idI: host, =agent, =realm, pkI: pkey, csig: bitstring) = credI in
  ifdef(`CHAIN', `if idI = peer then')
  if vrfy(ca, (Ccred, idI, agent, realm, pkI), csig) = true then
  let ta2 = ifdef(`NOIDBIND', `h(th2)', `h((th2, credI, pk(skR)))') in
  if vrfy(pkI, SIGI(ta2, gx), sigI) = true then
  let tb2 = h((ta2, sigI)) in
  if finI = hmac(xl(hs, Lifin, thc), tb2) then
  let th3 = h((tb2, finI)) in
  let ms = extract(xl(hs, Lder, empty), zero) in
  event RAcc(idI, idR, th3);
  out(c, aenc(xl(ms, Lrap, th3), empty, accept));
  if idI = A ifdef(`SMALL', `', `|| idI = B') then out(c, aenc(xl(ms, Lrap, th3), empty, secR)).

(* Any identity but A and B gets a certificate for any key. *)
let dishonest(caS: skey) =
  in(c, (i: host, role: bitstring, p: pkey));
  if i <> A && i <> B then
  out(c, cred(caS, i, role, p)).

include(QUERY)
process
  new caS: skey; out(c, pk(caS));
  new skA: skey; insert ids(A, skA); out(c, pk(skA));
  new skB: skey; insert ids(B, skB); out(c, pk(skB));
  ( !initiator(pk(caS), caS) | !responder(pk(caS), caS) | !dishonest(caS)
  ifdef(`KCI', `| (event Compromised(A); out(c, skA))')
  ifdef(`KEYLEAK', `| out(c, (skA, skB, caS))')
  ifdef(`CHAINLEAK', `| !( in(c, (i: host, r: host)); out(c, chain(i, r)) )')
  ifdef(`FS', `| (phase 1; out(c, (skA, skB, caS)))')
  )
