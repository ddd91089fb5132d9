(* The in-band rekey after the session's keys were stolen, the signing keys not. Any number of sessions.
   UNSIGNED: control, no side checks a signature. *)
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
fun aenc(bitstring, bitstring): bitstring.
reduc forall k: bitstring, m: bitstring; adec(k, aenc(k, m)) = m.
fun h(bitstring): bitstring.
fun extract(bitstring, bitstring): bitstring. fun xl(bitstring, bitstring, bitstring): bitstring.
const CrkI, CrkR, Liap, Lrap: bitstring.
free dataI, dataR: bitstring [private].
event ISwitch(bitstring). (* I opened REKEY_RESP and uses the new root: TH' *)
event RSwitch(bitstring). (* R opened the first record under the new root: TH' *)
event IDone(bitstring).   (* I opened a record of R under the new root: TH' *)
(* 5 must be false: the end is reachable. *)
query attacker(dataI).
query attacker(dataR).
query t: bitstring; event(RSwitch(t)) ==> event(ISwitch(t)).
query t: bitstring; event(IDone(t)) ==> event(RSwitch(t)).
query t: bitstring; event(IDone(t)).

let initiator(skI: skey, pkR: pkey, s: bitstring, rekey: bitstring, th: bitstring) =
  new x: exponent; new dk: kemsk;
  let gx = exp(g, x) in let ek = kpk(dk) in
  let sigI = sign(skI, (CrkI, h((th, gx, ek)))) in
  let frame = (gx, ek, sigI) in
  out(c, aenc(s, frame));
  in(c, m: bitstring);
  let (gy: G, ct: bitstring, sigR: bitstring) = adec(s, m) in
  ifdef(`UNSIGNED', `', `if vrfy(pkR, (CrkR, h((th, frame, gy, ct))), sigR) = true then')
  let th2 = h((th, frame, (gy, ct, sigR))) in
  let root = extract(rekey, (kdec(dk, ct), g2b(exp(gy, x)))) in
  event ISwitch(th2);
  out(c, aenc(xl(root, Liap, th2), dataI));
  in(c, m2: bitstring);
  let got = adec(xl(root, Lrap, th2), m2) in
  event IDone(th2).

let responder(skR: skey, pkI: pkey, s: bitstring, rekey: bitstring, th: bitstring) =
  in(c, m: bitstring);
  let frame = adec(s, m) in
  let (gx: G, ek: kempk, sigI: bitstring) = frame in
  ifdef(`UNSIGNED', `', `if vrfy(pkI, (CrkI, h((th, gx, ek))), sigI) = true then')
  new y: exponent; new r: coins;
  let gy = exp(g, y) in let ct = kct(ek, r) in
  let sigR = sign(skR, (CrkR, h((th, frame, gy, ct)))) in
  let th2 = h((th, frame, (gy, ct, sigR))) in
  let root = extract(rekey, (kss(ek, r), g2b(exp(gx, y)))) in
  out(c, aenc(s, (gy, ct, sigR)));
  in(c, m2: bitstring);
  let got = adec(xl(root, Liap, th2), m2) in
  event RSwitch(th2);
  out(c, aenc(xl(root, Lrap, th2), dataR)).

process
  new skI: skey; out(c, pk(skI));
  new skR: skey; out(c, pk(skR));
  !( new s: bitstring; new rekey: bitstring; new th: bitstring; out(c, (s, rekey, th));
     ( initiator(skI, pk(skR), s, rekey, th) | responder(skR, pk(skI), s, rekey, th) ) )
