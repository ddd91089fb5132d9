#!/usr/bin/env python3
"""Second implementation of waxwire/1, written from ../*.md alone, that replays the vectors beside it.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install 'cryptography>=50'
    /tmp/venv/bin/python proto-spec/vectors/check.py

Recomputes every record, hash and secret; prints one line a case; exits 1 at the first value that differs.
"""

import copy
import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


class Mismatch(Exception):
    """A recorded value is not the computed one."""


class Refused(Exception):
    """A record or frame that a receiver refuses; the text is the name of the error."""


# ---- 01-terms --------------------------------------------------------------------------------------------------------

u8 = lambda n: n.to_bytes(1, "big")
u16 = lambda n: n.to_bytes(2, "big")
u32 = lambda n: n.to_bytes(4, "big")
u64 = lambda n: n.to_bytes(8, "big")
lv8 = lambda x: u8(len(x)) + x
lv16 = lambda x: u16(len(x)) + x
unhex = bytes.fromhex


def H(*parts):
    return hashlib.sha256(b"".join(u32(len(p)) + p for p in parts)).digest()


def HMAC(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


Extract = HMAC


def Expand(prk, info, length):
    out, block = b"", b""
    for i in range(1, -(-length // 32) + 1):
        block = HMAC(prk, block + info + u8(i))
        out += block
    return out[:length]


def XL(secret, label, ctx=b"", length=32):
    assert length <= 8160 and len(label) <= 245 and len(ctx) <= 255
    return Expand(secret, u16(length) + lv8(b"waxwire/1 " + label.encode()) + lv8(ctx), length)


def signed(context, digest):
    return b"\x20" * 64 + context.encode() + b"\x00" + digest


def sign(secret, context, digest):
    return Ed25519PrivateKey.from_private_bytes(secret).sign(signed(context, digest))


def verify(public, context, digest, sig):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(sig, signed(context, digest))
    except InvalidSignature:
        raise Refused("BadSignature") from None


def ed25519_public(secret):
    key = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def x25519_public(secret):
    key = X25519PrivateKey.from_private_bytes(secret).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def x25519(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def seal(key, nonce, aad, plaintext):
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def unseal(key, nonce, aad, body):
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, body, aad)
    except InvalidTag:
        return None


# ---- ML-KEM-768 encapsulation from a given m (FIPS 203); the library has no deterministic one ------------------------

Q = 3329


def _bitrev7(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _bitrev7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _bitrev7(i) + 1, Q) for i in range(128)]


def _ntt(f):
    f, i, n = list(f), 1, 128
    while n >= 2:
        for start in range(0, 256, 2 * n):
            zeta, i = ZETAS[i], i + 1
            for j in range(start, start + n):
                t = zeta * f[j + n] % Q
                f[j + n], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        n //= 2
    return f


def _intt(f):
    f, i, n = list(f), 127, 2
    while n <= 128:
        for start in range(0, 256, 2 * n):
            zeta, i = ZETAS[i], i - 1
            for j in range(start, start + n):
                t = f[j]
                f[j], f[j + n] = (t + f[j + n]) % Q, zeta * (f[j + n] - t) % Q
        n *= 2
    return [x * 3303 % Q for x in f]


def _mul(f, g):
    out = []
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        out += [(a0 * b0 + a1 * b1 * GAMMAS[i]) % Q, (a0 * b1 + a1 * b0) % Q]
    return out


def _add(*polys):
    return [sum(c) % Q for c in zip(*polys)]


def _sample_ntt(seed):
    stream, out = hashlib.shake_128(seed).digest(3 * 1024), []
    for a, b, c in zip(stream[0::3], stream[1::3], stream[2::3]):
        for d in (a + 256 * (b % 16), b // 16 + 16 * c):
            if d < Q and len(out) < 256:
                out.append(d)
    assert len(out) == 256
    return out


def _cbd2(r, n):
    bits = int.from_bytes(hashlib.shake_256(r + u8(n)).digest(128), "little")
    bit = lambda i: bits >> i & 1
    return [(bit(4 * i) + bit(4 * i + 1) - bit(4 * i + 2) - bit(4 * i + 3)) % Q for i in range(256)]


def _decode(data, d):
    bits = int.from_bytes(data, "little")
    return [bits >> (d * i) & ((1 << d) - 1) for i in range(256)]


def _encode(f, d):
    return sum(c << (d * i) for i, c in enumerate(f)).to_bytes(32 * d, "little")


def _compress(f, d):
    return [(x * (1 << d) + Q // 2) // Q % (1 << d) for x in f]


def mlkem_encapsulate(ek, m):
    """The shared secret and the ciphertext of FIPS 203, algorithm 17."""
    MLKEM768PublicKey.from_public_bytes(ek)  # modulus check
    g = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    ss, r = g[:32], g[32:]
    t = [_decode(ek[384 * i : 384 * (i + 1)], 12) for i in range(3)]
    a = [[_sample_ntt(ek[1152:] + u8(j) + u8(i)) for j in range(3)] for i in range(3)]
    y = [_ntt(_cbd2(r, n)) for n in range(3)]
    e1 = [_cbd2(r, n) for n in range(3, 6)]
    u = [_add(_intt(_add(*(_mul(a[j][i], y[j]) for j in range(3)))), e1[i]) for i in range(3)]
    mu = [bit * 1665 for bit in _decode(m, 1)]
    v = _add(_intt(_add(*(_mul(t[j], y[j]) for j in range(3)))), _cbd2(r, 6), mu)
    ct = b"".join(_encode(_compress(p, 10), 10) for p in u) + _encode(_compress(v, 4), 4)
    return ss, ct


# ---- comparing -------------------------------------------------------------------------------------------------------


def same(name, computed, recorded):
    computed = computed.hex() if isinstance(computed, bytes) else computed
    if computed != recorded:
        raise Mismatch(f"{name}:\n  computed {computed}\n  recorded {recorded}")


class Ledger:
    """The recorded values of one case: each is compared once, and none may be left over."""

    def __init__(self, pairs):
        self.recorded = {name: value for name, value in pairs}
        self.left = set(self.recorded)

    def __call__(self, name, computed):
        if name not in self.recorded:
            raise Mismatch(f"{name} is not recorded")
        same(name, computed, self.recorded[name])
        self.left.discard(name)
        return computed

    def close(self):
        if self.left:
            raise Mismatch(f"recorded but not derived from the text: {sorted(self.left)}")


# ---- 02-records: headers ---------------------------------------------------------------------------------------------

TYPES = {"HELLO": 1, "REPLY": 2, "FINISH": 3, "RETRY": 4, "DATA": 5, "REJECT": 7, "NO_SESSION": 8}
BOUNDS = {1: (1280, 4096), 2: (16, 8192), 3: (16, 8192), 4: (16, 66), 5: (16, 65535), 7: (16, 16), 8: (16, 16)}


def header(kind, length, link, epoch=0, seq=0):
    return u8(0x10 | TYPES[kind]) + b"\x00" + u16(length) + link + u32(epoch) + u64(seq)


def judge_header(h):
    """Steps 1 to 8 of 2.1."""
    if len(h) < 24:
        raise Refused("Truncated")
    if h[0] >> 4 != 1:
        raise Refused("UnsupportedVersion")
    kind = h[0] & 15
    if kind not in BOUNDS:
        raise Refused("UnknownType")
    if h[1]:
        raise Refused("ReservedBits")
    length, epoch, seq = int.from_bytes(h[2:4], "big"), int.from_bytes(h[12:16], "big"), int.from_bytes(h[16:24], "big")
    if length < BOUNDS[kind][0]:
        raise Refused("TooShort")
    if length > BOUNDS[kind][1]:
        raise Refused("TooLarge")
    if kind != 5 and (epoch or seq):
        raise Refused("NonzeroPosition")
    if seq >= 1 << 62:
        raise Refused("SequenceExhausted")
    return kind, length, h[4:12], epoch, seq


# ---- 03-handshake ----------------------------------------------------------------------------------------------------

SUITE_NAME = {
    1: b"waxwire/1 X25519MLKEM768 Ed25519 ChaCha20Poly1305 SHA256",
    2: b"waxwire/1 X25519 Ed25519 ChaCha20Poly1305 SHA256",
}


def typed_list(entries):
    return b"".join(u16(kind) + lv16(value) for kind, value in entries)


def share_i(suite, eph):
    """I's share, and the key that opens R's."""
    x = x25519_public(unhex(eph["x25519_i"]))
    if suite == 2:
        return x
    ek = MLKEM768PrivateKey.from_seed_bytes(unhex(eph["mlkem_d_z"])).public_key().public_bytes_raw()
    return ek + x


def share_r(suite, eph, theirs):
    """R's share and ss, as R computes them."""
    x_secret = unhex(eph["x25519_r"])
    x, ss_x = x25519_public(x_secret), x25519(x_secret, theirs[-32:])
    if suite == 2:
        return x, ss_x
    ss_m, ct = mlkem_encapsulate(theirs[:1184], unhex(eph["mlkem_m"]))
    return ct + x, ss_m + ss_x


def ss_i(suite, eph, theirs):
    """ss as I computes it."""
    ss_x = x25519(unhex(eph["x25519_i"]), theirs[-32:])
    if suite == 2:
        return ss_x
    return MLKEM768PrivateKey.from_seed_bytes(unhex(eph["mlkem_d_z"])).decapsulate(theirs[:1088]) + ss_x


def credential(c, issuer_secret):
    labels = b"".join(lv8(k.encode()) + lv8(v.encode()) for k, v in c["labels"])
    body = (
        u8(1) + u8(c["kind"]) + unhex(c["serial"]) + u64(c["not_before"]) + u64(c["not_after"]) + u8(c["roles"])
        + unhex(c["public"]) + hashlib.sha256(ed25519_public(issuer_secret)).digest()[:8]
        + lv8(c["realm"].encode()) + lv8(c["subject"].encode()) + lv16(labels)
    )
    return body + sign(issuer_secret, "waxwire/1 credential", H(body))


def identity_block(identity, realm, role, now):
    """The block of 3.7, built from its fields; a chain is checked on the way."""
    public = ed25519_public(unhex(identity["secret"]))
    same("public key", public, identity["public"])
    if identity["kind"] == 1:
        return u8(1) + public
    chain = identity["credentials"]
    for at, c in enumerate(chain):
        assert c["kind"] == (1 if at == 0 else 2)
        assert now + 300 >= c["not_before"] and now <= c["not_after"] + 300
        assert c["roles"] & ~chain[-1]["roles"] == 0 and c["realm"] == chain[0]["realm"]
        if at:
            same("public key of the issuer", ed25519_public(unhex(chain[at - 1]["issuer_secret"])), c["public"])
    assert chain[0]["realm"] == realm and chain[0]["roles"] >> (role - 1) & 1
    same("public key of the leaf", public, chain[0]["public"])
    same("root", ed25519_public(unhex(chain[-1]["issuer_secret"])), identity["root"])
    made = [credential(c, unhex(c["issuer_secret"])) for c in chain]
    for c, one in zip(chain, made):
        same("credential", one, c["bytes"])
    return u8(2) + u8(len(made)) + b"".join(map(lv16, made))


def hello(inp, cookie, knock_key):
    """The record of 3.1, and binders and offsets on the way."""
    chains = [unhex(c) for c in inp["chains"]]
    suites = b"".join(unhex(s) for s in inp["suites"])
    share = share_i(inp["suite"], inp["ephemeral"])
    front = (
        lv8(unhex(inp["versions"])) + u8(len(suites) // 2) + suites + unhex(inp["link_i"]) + unhex(inp["random_i"])
        + u16(inp["suite"]) + lv16(share)
    )
    rids = [XL(chain, "rid", b"", 16) for chain in chains]
    extensions = typed_list((int(kind, 16), unhex(value)) for kind, value in inp["extensions"])

    def body(binders):
        resume = u8(len(rids)) + b"".join(rid + binder for rid, binder in zip(rids, binders))
        text = front + resume + lv16(cookie) + lv16(extensions)
        return text + bytes(max(0, 1280 - 16 - len(text))) + bytes(16)

    blank = body([bytes(32)] * len(rids))
    head = header("HELLO", len(blank), bytes(8))
    binders = [
        HMAC(XL(Extract(bytes(32), chain), "bind"), H(head + front, rid)) for chain, rid in zip(chains, rids)
    ]
    text = body(binders)[:-16]
    knock = HMAC(knock_key, head + text)[:16]
    return {
        "record": head + text + knock, "front": front, "rids": rids, "binders": binders, "knock": knock,
        "extensions": extensions, "share": share,
    }


class Direction:
    """Secrets of one direction, epoch by epoch (4.1)."""

    def __init__(self, s_0):
        self.roots = {0: s_0}

    def s(self, epoch):
        if epoch not in self.roots:
            self.roots[epoch] = XL(self.s(epoch - 1), "upd")
        return self.roots[epoch]

    def key(self, epoch):
        return XL(self.s(epoch), "key")

    def iv(self, epoch):
        return XL(self.s(epoch), "iv", b"", 12)

    def nonce(self, epoch, seq):
        return bytes(a ^ b for a, b in zip(self.iv(epoch), bytes(4) + u64(seq)))


class Session:
    """What a handshake leaves to both sides."""


def draws(seed, named):
    """How the crate makes inputs of seeds (README of the vectors); no part of the protocol."""
    root = Extract(b"waxwire/1 seed", unhex(seed))
    for label, value in named.items():
        same(f"{label} of the seed", XL(root, label, b"", len(value) // 2), value)


def draws_ephemeral(seed_i, seed_r, eph):
    draws(seed_i, {"x25519 key": eph["x25519_i"]})
    draws(seed_r, {"x25519 key": eph["x25519_r"]})
    if "mlkem_m" in eph:
        draws(seed_i, {"ml-kem key": eph["mlkem_d_z"]})
        draws(seed_r, {"ml-kem message": eph["mlkem_m"]})


def handshake(case, padding=None):
    inp, take = case["inputs"], Ledger(case["values"])
    draws_ephemeral(inp["seed_i"], inp["seed_r"], inp["ephemeral"])
    draws(inp["seed_i"], {"random": inp["random_i"]})
    draws(inp["seed_r"], {"random": inp["random_r"], "reset token": inp["reset_token"]})
    for side in "ir":
        draws(inp[f"identity_{side}"]["seed"], {"identity": inp[f"identity_{side}"]["secret"]})
    suite, eph, realm = inp["suite"], inp["ephemeral"], inp["realm"]

    knock_key = take("knock_key", Extract(b"waxwire/1 knock", unhex(inp["knock_secret"])))
    if inp["knock_from"] != "realm":
        key = {"key": inp["identity_r"]["public"], "root": inp["identity_r"].get("root")}[inp["knock_from"]]
        same("knock secret", hashlib.sha256(unhex(key)).digest(), inp["knock_secret"])
    identity = {
        side: identity_block(inp[f"identity_{side}"], realm, inp[f"role_{side}"], inp["now"]) for side in "ir"
    }
    public = {side: unhex(inp[f"identity_{side}"]["public"]) for side in "ir"}

    cookie = b""
    if inp["retry"] is not None:
        retry = inp["retry"]
        first = hello(inp, b"", knock_key)
        take("HELLO 1", first["record"])
        offered = u8(len(first["rids"])) + b"".join(first["rids"])
        tag = HMAC(
            unhex(retry["K_bucket"]), lv16(unhex(retry["source"])) + H(first["front"], offered, first["extensions"])
        )
        cookie = take("cookie", u8(1) + u32(retry["unix_seconds"] // 60) + tag[:16])
        take("RETRY", header("RETRY", len(cookie) + 2, unhex(inp["link_i"])) + lv16(cookie))

    h = hello(inp, cookie, knock_key)
    take("HELLO", h["record"])
    take("rids", [x.hex() for x in h["rids"]])
    take("binders", [x.hex() for x in h["binders"]])
    take("knock", h["knock"])

    # R answers.
    ours, ss = share_r(suite, eph, h["share"])
    same("ss as I computes it", ss_i(suite, eph, ours), ss.hex())
    take("share_I", h["share"])
    take("share_R", ours)
    take("ss", ss)
    clear = (
        u8(1) + u16(suite) + u8(inp["resume_index"]) + unhex(inp["link_r"]) + unhex(inp["random_r"]) + lv16(ours)
    )
    params = {side: typed_list((int(kind, 16), unhex(value)) for kind, value in inp[f"params_{side}"]) for side in "ir"}

    prologue = take("prologue", H(b"waxwire/1", realm.encode(), u8(inp["role_i"]), u8(inp["role_r"])))
    th0 = take("TH0", H(SUITE_NAME[suite], prologue))
    up_to_sig = lv16(identity["r"]) + lv16(params["r"])
    reply_header = header("REPLY", len(clear) + len(up_to_sig) + 96 + 16, unhex(inp["link_i"]))
    thc = take("THc", H(th0, h["record"], reply_header + clear))

    chain = bytes(32) if inp["resume_index"] == 0xFF else unhex(inp["chains"][inp["resume_index"]])
    es = take("ES", Extract(bytes(32), chain))
    hs = take("HS", Extract(XL(es, "derived"), ss))
    r_hs, i_hs = take("r_hs", XL(hs, "r hs", thc)), take("i_hs", XL(hs, "i hs", thc))
    r_fin, i_fin = take("r_fin", XL(hs, "r fin", thc)), take("i_fin", XL(hs, "i fin", thc))
    ms = take("MS", Extract(XL(hs, "derived"), bytes(32)))

    ta = take("TA", H(thc, up_to_sig))
    sig_r = take("sig_R", sign(unhex(inp["identity_r"]["secret"]), "waxwire/1 handshake responder", ta))
    tb = take("TB", H(ta, sig_r))
    fin_r = take("fin_R", HMAC(r_fin, tb))
    th2 = take("TH2", H(tb, fin_r))
    block_r = take("block_R", up_to_sig + sig_r + fin_r)
    reply = take("REPLY", reply_header + clear + seal(r_hs, bytes(12), thc, block_r))
    if unseal(r_hs, bytes(12), thc, reply[24 + len(clear) :]) != block_r:
        raise Mismatch("block_R does not open")
    verify(public["r"], "waxwire/1 handshake responder", ta, sig_r)

    up_to_sig = lv16(identity["i"]) + public["r"] + lv16(params["i"])
    finish_header = header("FINISH", len(up_to_sig) + 96 + 16, unhex(inp["link_r"]))
    ta = take("TA'", H(th2, finish_header + up_to_sig))
    sig_i = take("sig_I", sign(unhex(inp["identity_i"]["secret"]), "waxwire/1 handshake initiator", ta))
    tb = take("TB'", H(ta, sig_i))
    fin_i = take("fin_I", HMAC(i_fin, tb))
    th3 = take("TH3", H(tb, fin_i))
    block_i = take("block_I", up_to_sig + sig_i + fin_i)
    take("FINISH", finish_header + seal(i_hs, bytes(12), th2 + finish_header, block_i))
    verify(public["i"], "waxwire/1 handshake initiator", ta, sig_i)

    s = Session()
    s.sides = {"I": Direction(XL(ms, "i ap", th3)), "R": Direction(XL(ms, "r ap", th3))}
    for side, text in (("I", "I to R"), ("R", "R to I")):
        take(f"s_0 of {text}", s.sides[side].s(0))
        take(f"key_0 of {text}", s.sides[side].key(0))
        take(f"iv_0 of {text}", s.sides[side].iv(0))
    after = take("chain'", XL(ms, "chain", th3))
    take("rid(chain')", XL(after, "rid", b"", 16))
    exporter = take("exporter", XL(ms, "exp", th3))
    s.session_id = take("session_id", XL(ms, "sid", th3, 16))
    s.rekey = take("rekey_0", XL(ms, "derived"))
    take("binding", th3)
    for export in inp["exports"]:
        value = XL(XL(exporter, export["label"]), "exporter", H(unhex(export["ctx"])), export["len"])
        same(f"export({export['label']})", value, export["value"])

    s.th, s.binding, s.suite, s.public = th3, th3, suite, {"I": public["i"], "R": public["r"]}
    s.secret = {"I": unhex(inp["identity_i"]["secret"]), "R": unhex(inp["identity_r"]["secret"])}
    s.link = {"I": unhex(inp["link_i"]), "R": unhex(inp["link_r"])}
    s.identity = {"I": identity["i"], "R": identity["r"]}
    limit = lambda side: next((int(value, 16) for kind, value in inp[f"params_{side}"] if kind == "0001"), 16384)
    s.max_record = {"I": limit("i"), "R": limit("r")}

    resumed = int(inp["resume_index"] != 0xFF)
    accept = frame(0x13, 0, s.session_id + u64(inp["generation"]) + u8(resumed) + unhex(inp["reset_token"]))
    if padding is not None:
        accept = accept.ljust(padded(padding, len(accept), s.max_record["I"]), b"\0")
    take("ACCEPT", record(s, "R", 0, 0, accept))
    take.close()
    return s


# ---- 04-sealing, 06-frames -------------------------------------------------------------------------------------------

OTHER = {"I": "R", "R": "I"}


def record(s, side, epoch, seq, plaintext):
    """2.3"""
    head = header("DATA", len(plaintext) + 16, s.link[OTHER[side]], epoch, seq)
    direction = s.sides[side]
    return head + seal(direction.key(epoch), direction.nonce(epoch, seq), head, plaintext)


def frame(kind, flags, body):
    return u8(kind) + u8(flags) + lv16(body)


KNOWN = {0x01, 0x02, 0x09, 0x0A, 0x0B, 0x0F, 0x11, 0x12, 0x13, 0x14}


def parse(s, side, epoch, seq, plaintext):
    """The frames of a plaintext sealed by `side`, or FrameError."""
    broken = Refused("FrameError")
    shares = {0x0A: 1216, 0x0B: 1120} if s.suite == 1 else {0x0A: 32, 0x0B: 32}
    out, at = [], 0
    while at < len(plaintext):
        if plaintext[at] == 0:
            if any(plaintext[at:]):
                raise broken
            out.append({"type": "PADDING", "bytes": len(plaintext) - at})
            break
        if len(plaintext) - at < 4:
            raise broken
        kind, flags, length = plaintext[at], plaintext[at + 1], int.from_bytes(plaintext[at + 2 : at + 4], "big")
        body = plaintext[at + 4 : at + 4 + length]
        if len(body) < length:
            raise broken
        first, whole, at = at == 0, plaintext[at : at + 4 + length], at + 4 + length
        num = lambda a, b: int.from_bytes(body[a:b], "big")
        if kind not in KNOWN:
            if kind & 0x80:
                raise broken
            out.append({"type": "unknown", "bytes": whole.hex()})
            continue
        if flags & ~1 or (flags and kind not in (0x09, 0x0A)):
            raise broken
        fixed = {0x01: 8, 0x02: 8, 0x09: 4, 0x11: 6, 0x12: 8, 0x13: 41}.get(kind, length)
        if length != fixed:
            raise broken
        if kind in (0x01, 0x02):
            out.append({"type": ("PING", "PONG")[kind - 1], "value": body.hex()})
        elif kind == 0x09:
            out.append({"type": "KEY_UPDATE", "ack": bool(flags), "epoch": num(0, 4)})
        elif kind == 0x0A and flags:
            if side != "R" or length:
                raise broken
            out.append({"type": "REKEY_REQUEST"})
        elif kind in (0x0A, 0x0B):
            if side != {0x0A: "I", 0x0B: "R"}[kind] or length != 70 + shares[kind] or num(4, 6) != shares[kind]:
                raise broken
            out.append({"type": ("REKEY", "REKEY_RESP")[kind - 0x0A], "bytes": whole.hex()})
        elif kind == 0x0F:
            if length < 66 or num(0, 2) + 66 != length:
                raise broken
            out.append({"type": "CREDENTIAL", "bytes": whole.hex()})
        elif kind == 0x11:
            out.append({"type": "CLOSE", "code": num(0, 2), "retry_after_ms": num(2, 6)})
        elif kind == 0x12:
            out.append({"type": "GOAWAY", "retry_after_ms": num(0, 4), "spread_ms": num(4, 8)})
        elif kind == 0x13:
            if side != "R" or seq != 0 or not first or body[24] > 1:
                raise broken
            out.append({
                "type": "ACCEPT", "session_id": body[:16].hex(), "generation": num(16, 24), "resumed": body[24],
                "reset_token": body[25:].hex(),
            })
        else:
            out.append({"type": "DATAGRAM", "bytes": body.hex()})
    closes = [at for at, f in enumerate(out) if f["type"] == "CLOSE"]
    return out[: closes[0] + 1] if closes else out


class Receiver:
    """State of 2.4 for the records that `side` receives."""

    def __init__(self, s, side, ordered):
        self.s, self.side, self.peer, self.ordered = s, side, OTHER[side], ordered
        self.cur, self.prev, self.opened, self.promoted, self.marked, self.last = 0, False, 0, 0, set(), None
        self.sealed = 0  # highest epoch this side has sealed in

    def receive(self, now, data):
        kind, length, link, epoch, seq = judge_header(data)
        # HELLO has no link yet, and NO_SESSION repeats the link id that R does not know (8.4).
        names = {1: bytes(8), 8: self.s.link["R"]}.get(kind, self.s.link[self.side])
        if link != names:
            raise Refused("UnknownLink")
        if kind != 5 and not (kind == 8 and self.side == "I"):
            raise Refused("UnexpectedRecord")
        if length > self.s.max_record[self.side] + 16:
            raise Refused("TooLarge")
        if len(data) < 24 + length:
            raise Refused("Truncated")
        if len(data) > 24 + length:
            raise Refused("TrailingBytes")
        if self.prev and (self.opened >= 1024 or now - self.promoted >= 30_000):
            self.prev = False
        if not (epoch in (self.cur, self.cur + 1) or (epoch + 1 == self.cur and self.prev)):
            raise Refused("EpochUnknown")
        top = max(self.marked, default=-1)
        if seq in self.marked:
            raise Refused("Replayed")
        if seq < top - 1023:
            raise Refused("TooOld")
        direction = self.s.sides[self.peer]
        plaintext = unseal(direction.key(epoch), direction.nonce(epoch, seq), data[:24], data[24:])
        if plaintext is None:
            raise Refused("Forged")
        if self.ordered and self.last is not None and seq != self.last + 1:
            raise Refused("OrderViolation")
        self.marked.add(seq)
        self.last = seq
        if epoch == self.cur + 1:
            self.prev, self.cur, self.opened, self.promoted = True, epoch, 0, now
        if epoch == self.cur:
            self.opened += 1
        frames = parse(self.s, self.peer, epoch, seq, plaintext)
        for f in frames:
            if f["type"] == "KEY_UPDATE" and (f["epoch"] > self.sealed if f["ack"] else f["epoch"] != epoch):
                raise Refused("FrameError")
            if f["type"] == "CREDENTIAL":
                self.refresh(unhex(f["bytes"])[4:])
            if f["type"] == "ACCEPT" and f["session_id"] != self.s.session_id.hex():
                raise Refused("FrameError")
        return plaintext, frames

    def refresh(self, body):
        """4.4. Credentials are the peer's of the handshake again, so their chain was checked there."""
        identity, sig = body[2:-64], body[-64:]
        same("identity of CREDENTIAL", identity, self.s.identity[self.peer].hex())
        context = f"waxwire/1 refresh {'initiator' if self.peer == 'I' else 'responder'}"
        verify(self.s.public[self.peer], context, H(self.s.binding, identity), sig)


def flow(s, steps, ordered):
    """Seals what the steps say is sealed; gives every record to its receiver and compares the verdict."""
    receivers = {side: Receiver(s, side, ordered) for side in "IR"}
    sealed_in = {"I": -1, "R": -1}
    for at, step in enumerate(steps):
        try:
            data, side, receiver = unhex(step["record"]), step["from"], receivers[OTHER[step["from"]]]
            if step.get("attach"):
                for one in receivers.values():
                    one.last = None
            if "plaintext" in step:
                epoch, seq, direction = step["epoch"], step["seq"], s.sides[side]
                plaintext = unhex(step["plaintext"])
                same("s", direction.s(epoch), step["s"])
                same("key", direction.key(epoch), step["key"])
                same("iv", direction.iv(epoch), step["iv"])
                same("nonce", direction.nonce(epoch, seq), step["nonce"])
                same("record", record(s, side, epoch, seq, plaintext), step["record"])
            if "error" in step:
                judge = copy.deepcopy(receiver) if step["ends"] else receiver
                before = (set(judge.marked), judge.cur, judge.last)
                try:
                    judge.receive(step["at_ms"], data)
                except Refused as refused:
                    same("error", str(refused), step["error"])
                else:
                    raise Mismatch(f"opened, but it should be refused with {step['error']}")
                if not step["ends"]:
                    same("state", (judge.marked, judge.cur, judge.last), before)
                continue
            receivers[side].sealed = max(receivers[side].sealed, epoch)
            plaintext, frames = receiver.receive(step["at_ms"], data)
            same("plaintext", plaintext, step["plaintext"])
            same("frames", frames, step["frames"])
            announce = {"type": "KEY_UPDATE", "ack": False, "epoch": epoch}
            if epoch > max(sealed_in[side], 0) and frames[0] != announce:
                raise Mismatch("the first record of an epoch does not announce it (S-2)")
            sealed_in[side] = max(sealed_in[side], epoch)
        except (Mismatch, Refused) as why:
            raise Mismatch(f"step {at} ({step['name']}): {why}") from None


def rekey(s, case):
    """4.3. Puts the new roots into the directions; the steps of the case then run over them."""
    take, eph = Ledger(case["values"]), case["ephemeral"]
    draws_ephemeral(case["seed_i"], case["seed_r"], eph)
    epochs = {"I": case["epoch_i"], "R": case["epoch_r"]}
    share = share_i(s.suite, eph)
    begin = frame(0x0A, 0, u32(epochs["I"]) + lv16(share) + bytes(64))[:-64]
    digest = take("digest of REKEY", H(s.th, begin))
    sig = take("sig of REKEY", sign(s.secret["I"], "waxwire/1 rekey initiator", digest))
    request = take("REKEY", begin + sig)
    ours, ss = share_r(s.suite, eph, share)
    same("ss as I computes it", ss_i(s.suite, eph, ours), ss.hex())
    take("ss", ss)
    begin = frame(0x0B, 0, u32(epochs["R"]) + lv16(ours) + bytes(64))[:-64]
    digest = take("digest of REKEY_RESP", H(s.th, request, begin))
    sig = take("sig of REKEY_RESP", sign(s.secret["R"], "waxwire/1 rekey responder", digest))
    response = take("REKEY_RESP", begin + sig)
    take("TH", s.th)
    take("rekey", s.rekey)
    s.th = take("TH'", H(s.th, request, response))
    root = take("root", Extract(s.rekey, ss))
    s.rekey = take("rekey'", XL(root, "derived"))
    for side, label, text in (("I", "i ap", "I to R"), ("R", "r ap", "R to I")):
        s.sides[side].s(epochs[side] - 1)
        secret = take(f"s of {text}", XL(root, label, s.th))
        if epochs[side] in s.sides[side].roots:
            raise Mismatch("the epoch of a rekey was used before")
        s.sides[side].roots[epochs[side]] = secret
    take.close()


# ---- 09-messages -----------------------------------------------------------------------------------------------------

CLASSES = ["critical", "high", "normal", "low"]
NUMBERED, AGAIN, EXPIRES, FIRST, LAST = 4, 8, 16, 32, 64
LABEL = 3 | NUMBERED | AGAIN | EXPIRES


class Fields:
    """Reads the fields of a frame, a content or a payload; what does not fit is a broken frame."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        taken = self.data[self.at : self.at + length]
        if len(taken) < length:
            raise Refused("FrameError")
        self.at += length
        return taken

    def int(self, length):
        return int.from_bytes(self.take(length), "big")

    def u64(self):
        return self.take(8).hex()

    def number(self):
        """M-3."""
        number = self.u64()
        need(int(number, 16) != 0)
        return number

    def lv8(self):
        return self.take(self.int(1))

    def lv16(self):
        return self.take(self.int(2))

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        need(self.at == len(self.data))

    def numbers(self):
        through, count = self.u64(), self.int(1)
        need(count <= 32)
        ranges, below = [], int(through, 16)
        for _ in range(count):
            first, last = self.u64(), self.u64()
            need(int(first, 16) > below + 1 and int(last, 16) >= int(first, 16))
            ranges.append([first, last])
            below = int(last, 16)
        return {"through": through, "ranges": ranges}

    def label(self, flags):
        number = self.number() if flags & NUMBERED else None
        ttl = self.int(4) if flags & EXPIRES else None
        need(not flags & AGAIN or number)
        return {"class": CLASSES[flags & 3], "number": number, "again": bool(flags & AGAIN), "ttl_ms": ttl}


def need(condition, error="FrameError"):
    if not condition:
        raise Refused(error)


def text(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused("FrameError") from None


def read_link_frame(data):
    """The type and the fields of one whole frame of page 9."""
    head = Fields(data)
    kind, flags, r = head.int(1), head.int(1), Fields(head.lv16())
    head.end()
    group = CLASSES[flags & 3]
    allowed = {0x03: LABEL, 0x04: LABEL | FIRST | LAST if flags & FIRST else 3 | LAST, 0x05: 3 | 4, 0x06: 3, 0x0C: 3}
    allowed[0x07] = 4 if flags & 4 else 3
    need(not flags & ~allowed.get(kind, 0))
    if kind == 0x03:
        name, out = "MSG", r.label(flags) | {"content": r.rest().hex()}
    elif kind == 0x04 and flags & FIRST:
        out = r.label(flags) | {"total": r.int(4), "last": bool(flags & LAST), "data": r.rest().hex()}
        name = "CHUNK, first"
    elif kind == 0x04:
        name = "CHUNK, next"
        out = {"class": group, "offset": r.int(4), "last": bool(flags & LAST), "data": r.rest().hex()}
    elif kind == 0x05:
        name, out = "ACK", {"class": group, "handled": bool(flags & 4), "numbers": r.numbers()}
    elif kind == 0x06:
        name, out = "RESULT", {"class": group, "number": r.number(), "code": r.int(2), "detail": r.int(4)}
    elif kind == 0x07 and flags & 4:
        name, out = "CREDIT of a subscription", {"subscription": r.int(4), "messages": r.u64(), "bytes": r.u64()}
    elif kind == 0x07:
        name, out = "CREDIT of a class", {"class": group, "messages": r.u64(), "bytes": r.u64()}
    elif kind == 0x08:
        name, out = "CANCEL", {"correlation": r.u64(), "reason": r.int(2)}
    elif kind == 0x0C:
        name, out = "VOID", {"class": group, "first": r.number(), "last": r.number()}
        need(int(out["first"], 16) <= int(out["last"], 16))
    elif kind == 0x10:
        epochs = {field: r.take(16).hex() for field in ("outbox", "inbox", "known")}
        limit = {"message_bytes": r.int(4)}
        name, out = "RESUME", epochs | limit | {"handled": [r.numbers() for _ in CLASSES]}
    elif kind == 0x20:
        out = {"subscription": r.int(4), "messages": r.u64(), "bytes": r.u64(), "pattern": text(r.lv8())}
        name = "SUBSCRIBE"
    elif kind == 0x21:
        name, out = "UNSUBSCRIBE", {"subscription": r.int(4)}
    elif kind == 0x22:
        name, out = "SUBSCRIBED", {"subscription": r.int(4), "code": r.int(2)}
    elif kind == 0x23:
        name, out = "NAME", {"alias": r.int(4), "name": text(r.lv8())}
    elif kind == 0x24:
        name, out = "CHANNEL", {"request": r.int(4), "op": r.int(1), "name": text(r.lv8())}
    elif kind == 0x25:
        name, out = "CHANNEL_RESULT", {"request": r.int(4), "code": r.int(2)}
    else:
        raise Refused("no frame of page 9")
    r.end()
    return name, out


def written_numbers(n):
    return unhex(n["through"]) + u8(len(n["ranges"])) + b"".join(unhex(end) for one in n["ranges"] for end in one)


def written_label(f):
    bits = (NUMBERED if f["number"] else 0) | (AGAIN if f["again"] else 0) | (EXPIRES if f["ttl_ms"] is not None else 0)
    return bits, unhex(f["number"] or "") + (u32(f["ttl_ms"]) if f["ttl_ms"] is not None else b"")


def write_link_frame(name, f):
    flags = CLASSES.index(f["class"]) if "class" in f else 0
    if "again" in f:
        bits, front = written_label(f)
        flags |= bits
    if f.get("last") is True:
        flags |= LAST
    lv8_of = lambda field: lv8(f[field].encode())
    amount = lambda: unhex(f["messages"]) + unhex(f["bytes"])
    if name == "MSG":
        return frame(0x03, flags, front + unhex(f["content"]))
    if name == "CHUNK, first":
        return frame(0x04, flags | FIRST, front + u32(f["total"]) + unhex(f["data"]))
    if name == "CHUNK, next":
        return frame(0x04, flags, u32(f["offset"]) + unhex(f["data"]))
    if name == "ACK":
        return frame(0x05, flags | (4 if f["handled"] else 0), written_numbers(f["numbers"]))
    if name == "RESULT":
        return frame(0x06, flags, unhex(f["number"]) + u16(f["code"]) + u32(f["detail"]))
    if name == "CREDIT of a class":
        return frame(0x07, flags, amount())
    if name == "CREDIT of a subscription":
        return frame(0x07, 4, u32(f["subscription"]) + amount())
    if name == "CANCEL":
        return frame(0x08, 0, unhex(f["correlation"]) + u16(f["reason"]))
    if name == "VOID":
        return frame(0x0C, flags, unhex(f["first"]) + unhex(f["last"]))
    if name == "RESUME":
        epochs = unhex(f["outbox"] + f["inbox"] + f["known"])
        limit = u32(f["message_bytes"])
        return frame(0x10, 0, epochs + limit + b"".join(map(written_numbers, f["handled"])))
    if name == "SUBSCRIBE":
        return frame(0x20, 0, u32(f["subscription"]) + amount() + lv8_of("pattern"))
    if name == "UNSUBSCRIBE":
        return frame(0x21, 0, u32(f["subscription"]))
    if name == "SUBSCRIBED":
        return frame(0x22, 0, u32(f["subscription"]) + u16(f["code"]))
    if name == "NAME":
        return frame(0x23, 0, u32(f["alias"]) + lv8_of("name"))
    if name == "CHANNEL":
        return frame(0x24, 0, u32(f["request"]) + u8(f["op"]) + lv8_of("name"))
    if name == "CHANNEL_RESULT":
        return frame(0x25, 0, u32(f["request"]) + u16(f["code"]))
    raise Mismatch(f"no frame is called {name}")


# 9.1: name, whether a channel, whether a correlation, what else it may have.
KINDS = [
    ("event", True, False, 8),
    ("request", True, True, 8 | 16),
    ("response", False, True, 8),
    ("item", False, True, 8),
    ("progress", False, True, 0),
    ("failure", False, True, 8),
    ("command", True, False, 8),
    ("status", False, False, 0),
    ("demand", False, True, 0),
]


def read_content(data):
    r = Fields(data)
    kind, flags = r.int(1), r.int(1)
    need(kind < len(KINDS))
    name, channel, correlated, others = KINDS[kind]
    need(not flags & ~(others | 7))
    need((flags & 3) in ((1, 2) if channel else (0,)))
    need(bool(flags & 4) == correlated)
    out = {"kind": name}
    out["name"] = text(r.lv8()) if flags & 1 else None
    out["alias"] = r.int(4) if flags & 2 else None
    out["correlation"] = r.u64() if flags & 4 else None
    out["headers"] = r.lv16().hex() if flags & 8 else None
    out["stream"] = bool(flags & 16)
    out["payload"] = r.rest().hex()
    return out


def write_content(f):
    parts, flags = [], 16 if f["stream"] else 0
    for bit, field, write in (
        (1, "name", lambda x: lv8(x.encode())),
        (2, "alias", u32),
        (4, "correlation", unhex),
        (8, "headers", lambda x: lv16(unhex(x))),
    ):
        if f[field] is not None:
            flags |= bit
            parts.append(write(f[field]))
    kind = [kind[0] for kind in KINDS].index(f["kind"])
    return u8(kind) + u8(flags) + b"".join(parts) + unhex(f["payload"])


class Pack:
    """MessagePack within the bounds of 9.1. A map is a list of pairs; an extension has type and bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        taken = self.data[self.at : self.at + length]
        need(len(taken) == length, "Truncated")
        self.at += length
        return taken

    def int(self, length, is_signed=False):
        number = int.from_bytes(self.take(length), "big", signed=is_signed)
        need(length < 8 or abs(number) <= 1 << 53, "IntegerTooLarge")
        return number

    def length(self, first, marker):
        return self.int(1 << (marker - first))

    def many(self, count, depth):
        need(count <= len(self.data) - self.at, "Truncated")
        need(depth < 16, "TooDeep")
        return [self.value(depth + 1) for _ in range(count)]

    def text(self, length):
        data = self.take(length)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return {"not text": data.hex()}

    def pairs(self, count, depth):
        flat = self.many(2 * count, depth)
        return {"map": [list(pair) for pair in zip(flat[::2], flat[1::2])]}

    def extension(self, length):
        kind = self.int(1, True)
        return {"extension": kind, "bytes": self.take(length).hex()}

    def value(self, depth=0):
        m = self.int(1)
        if m <= 0x7F:
            return m
        if m >= 0xE0:
            return m - 0x100
        if m <= 0x8F:
            return self.pairs(m & 15, depth)
        if m <= 0x9F:
            return self.many(m & 15, depth)
        if m <= 0xBF:
            return self.text(m & 31)
        need(m != 0xC1, "Reserved")
        if m in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[m]
        if m <= 0xC6:
            return {"bytes": self.take(self.length(0xC4, m)).hex()}
        if m <= 0xC9:
            return self.extension(self.length(0xC7, m))
        if m <= 0xCB:
            return struct.unpack(">f" if m == 0xCA else ">d", self.take(4 if m == 0xCA else 8))[0]
        if m <= 0xCF:
            return self.int(1 << (m - 0xCC))
        if m <= 0xD3:
            return self.int(1 << (m - 0xD0), True)
        if m <= 0xD8:
            return self.extension(1 << (m - 0xD4))
        if m <= 0xDB:
            return self.text(self.length(0xD9, m))
        if m <= 0xDD:
            return self.many(self.length(0xDB, m), depth)
        return self.pairs(self.length(0xDD, m), depth)


def read_body(data):
    pack = Pack(data)
    value = pack.value()
    need(pack.at == len(data), "TrailingBytes")
    return value


def read_headers(data):
    value = read_body(data)
    need(isinstance(value, dict) and "map" in value, "NotText")
    pairs = value["map"]
    need(len(pairs) <= 64, "TooMany")
    need(all(isinstance(one, str) for pair in pairs for one in pair), "NotText")
    need(all(1 <= len(key.encode()) <= 255 for key, _ in pairs), "Key")
    need(len({key for key, _ in pairs}) == len(pairs), "Duplicate")
    return pairs


# ---- 10-channels -----------------------------------------------------------------------------------------------------

ALPHABET = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def channel(data, is_pattern):
    """10.1 and 10.2."""
    tokens = data.split(b".")
    need(len(data) <= 255 and len(tokens) <= 16, "BadChannel")
    for at, token in enumerate(tokens):
        wild = is_pattern and (token == b"*" or (token == b">" and at == len(tokens) - 1))
        need(wild or (token and set(token) <= ALPHABET), "BadChannel")
    return [token.decode() for token in tokens]


def matches(pattern, name):
    if not pattern or not name:
        return not pattern and not name
    if pattern[0] == ">":
        return True
    return pattern[0] in ("*", name[0]) and matches(pattern[1:], name[1:])


def inside(inner, outer):
    """10.3, token by token."""
    if not inner or not outer:
        return not inner and not outer
    if outer[0] == ">":
        return True
    if inner[0] == ">" or (inner[0] == "*" and outer[0] != "*"):
        return False
    return outer[0] in ("*", inner[0]) and inside(inner[1:], outer[1:])


def border(party, act, agent, pattern):
    rows = {
        ("agent", "publish"): ["agent.A.>"],
        ("agent", "subscribe"): ["backend.A.>"],
        ("agent", "manage"): ["agent.A.>"],
        ("backend", "publish"): ["backend.A.>"],
        ("backend", "subscribe"): ["agent.>"],
        ("backend", "manage"): ["agent.A.>", "backend.A.>"],
    }[party, act]
    return any(inside(pattern.split("."), row.replace("A", agent).split(".")) for row in rows)


# ---- 11-calls --------------------------------------------------------------------------------------------------------

FAILURES = {
    1: "only what may be done twice",
    2: "no",
    3: "no",
    4: "later",
    5: "no",
    6: "only what may be done twice",
    7: "only what may be done twice",
    8: "no",
    9: "only what may be done twice",
    10: "no",
    0x8000: "no",
}
STATUSES = ["queued", "sent", "delivered", "running", "succeeded", "failed", "expired", "cancelled", "unknown"]
FOLLOWS = {
    "queued": STATUSES[1:],
    "sent": STATUSES[2:],
    "delivered": STATUSES[3:],
    "running": ["succeeded", "failed", "cancelled", "unknown"],
    "unknown": ["running", "succeeded", "failed", "expired", "cancelled"],
}


def read_failure(r):
    code, detail, words = r.int(2), r.int(4), r.lv16()
    need(detail == 0 or code == 0x8000)
    need(len(words) <= 512)
    r.end()
    return {"code": code, "detail": detail, "text": text(words)}


def write_failure(f):
    return u16(f["code"]) + u32(f["detail"]) + lv16(f["text"].encode())


def read_payload(kind, data):
    r = Fields(data)
    if kind == "opening":
        out = {"allowed": r.u64(), "from": r.u64(), "payload": r.rest().hex()}
        need(out["from"] <= out["allowed"])
    elif kind == "response of a stream":
        out = {"count": r.u64(), "payload": r.rest().hex()}
    elif kind == "item":
        out = {"offset": r.u64(), "payload": r.rest().hex()}
    elif kind == "progress":
        form = r.int(1)
        need(form <= 1)
        out = {"payload": r.rest().hex()} if form else {"permille": r.int(4)}
        need(out.get("permille", 0) <= 1000)
    elif kind == "failure":
        out = read_failure(r)
    elif kind == "demand":
        out = {"allowed": r.u64(), "next": r.u64(), "mode": r.int(1)}
        need(out["mode"] <= 1 and out["next"] <= out["allowed"])
    elif kind == "command":
        op = r.int(1)
        need(op <= 1)
        out = {"op": ("run", "cancel")[op], "id": r.take(16).hex()}
        out |= {} if op else {"payload": r.rest().hex()}
    else:
        out = {"id": r.take(16).hex()}
        status = r.int(1)
        need(2 <= status <= 8)
        out["status"] = STATUSES[status]
        if status == 4:
            out["result"] = r.rest().hex()
        if status == 5:
            out["failure"] = read_failure(r)
    r.end()
    return out


def write_payload(kind, f):
    rest = unhex(f.get("payload", ""))
    if kind == "opening":
        return unhex(f["allowed"] + f["from"]) + rest
    if kind == "response of a stream":
        return unhex(f["count"]) + rest
    if kind == "item":
        return unhex(f["offset"]) + rest
    if kind == "progress":
        return u8(0) + u32(f["permille"]) if "permille" in f else u8(1) + rest
    if kind == "failure":
        return write_failure(f)
    if kind == "demand":
        return unhex(f["allowed"] + f["next"]) + u8(f["mode"])
    if kind == "command":
        return u8(("run", "cancel").index(f["op"])) + unhex(f["id"]) + rest
    failure = write_failure(f["failure"]) if "failure" in f else b""
    return unhex(f["id"]) + u8(STATUSES.index(f["status"])) + unhex(f.get("result", "")) + failure


# ---- running ---------------------------------------------------------------------------------------------------------

CHECK_VALUES = [
    (H(b"waxwire/1", b"stage", u8(1), u8(2)), "47308f34130f5cc0a5ec4240a85e59f0fe15c93766c3439977dcbd76998973d5"),
    (Extract(b"waxwire/1 knock", b"\x11" * 32), "908f42d8dbfa2575b3d195d0eff037ac108d74add7f65b20a7f310e195c540bd"),
    (Extract(bytes(32), bytes(32)), "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"),
    (XL(XL(b"\x22" * 32, "app"), "exporter", H(b"ctx"), 16), "7286c70f53a5941996d6b0b3e4394b1e"),
]


def padded(policy, length, most):
    """6.1"""
    if policy["policy"] == "padme":
        if length < 2:
            return length
        e = length.bit_length() - 1
        step = 1 << (e - e.bit_length())
        target = -(-length // step) * step
    else:
        n = policy["n"]
        target = -(-length // n) * n
        if policy["policy"] == "fixed":
            target = max(target, n)
    return min(target, most)


def records_file(document):
    for h in document["headers"]:
        made = header(h["type"], h["length"], unhex(h["dst_link"]), h["epoch"], int(h["seq"], 16))
        same(h["name"], made, h["header"])
        judge_header(made)
    for h in document["bad_headers"]:
        try:
            judge_header(unhex(h["header"]))
        except Refused as refused:
            same(h["name"], str(refused), h["error"])
        else:
            raise Mismatch(f"{h['name']}: not refused")
    yield "headers"
    for case in document["cases"]:
        s = handshake(case["handshake"], case.get("padding"))
        flow(s, case["steps"], case["transport"] == "ordered")
        for step in case["steps"] if "padding" in case else []:
            used = sum(4 + len(f["bytes"]) // 2 for f in step["frames"] if f["type"] == "DATAGRAM")
            if used:
                length = len(step["plaintext"]) // 2
                same(step["name"], padded(case["padding"], used, s.max_record[OTHER[step["from"]]]), length)
        yield case["name"]


def handshake_file(document):
    for case in document["cases"]:
        handshake(case)
        yield case["name"]


def rekey_file(document):
    for case in document["cases"]:
        s = handshake(case["handshake"])
        for exchange in case["exchanges"]:
            rekey(s, exchange)
        flow(s, case["steps"], case["transport"] == "ordered")
        signed = [f for step in case["steps"] for f in step["frames"] if f["type"].startswith("REKEY")]
        derived = [dict(x["values"])[kind] for x in case["exchanges"] for kind in ("REKEY", "REKEY_RESP")]
        same("frames of the exchanges", [f["bytes"] for f in signed], derived)
        yield case["name"]


def refusal(name, read, expected):
    try:
        read()
    except Refused as refused:
        same(name, str(refused), expected)
    else:
        raise Mismatch(f"{name}: not refused")


def messages_file(document):
    for f in document["frames"]:
        same(f["name"], list(read_link_frame(unhex(f["frame"]))), [f["type"], f["fields"]])
        same(f["name"], write_link_frame(f["type"], f["fields"]), f["frame"])
    yield "frames"
    for f in document["bad_frames"]:
        refusal(f["name"], lambda: read_link_frame(unhex(f["frame"])), "FrameError")
    yield "bad_frames"
    for c in document["contents"]:
        same(c["name"], read_content(unhex(c["content"])), c["fields"])
        same(c["name"], write_content(c["fields"]), c["content"])
    yield "contents"
    for c in document["bad_contents"]:
        refusal(c["name"], lambda: read_content(unhex(c["content"])), "FrameError")
    yield "bad_contents"
    for h in document["headers"]:
        same(h["name"], read_headers(unhex(h["headers"])), h["entries"])
    for h in document["bad_headers"]:
        refusal(h["name"], lambda: read_headers(unhex(h["headers"])), h["error"])
    yield "headers"
    for b in document["bodies"]:
        same(b["name"], read_body(unhex(b["body"])), b["value"])
    for b in document["bad_bodies"]:
        refusal(b["name"], lambda: read_body(unhex(b["body"])), b["error"])
    yield "bodies"


def channels_file(document):
    for field, is_pattern in (("names", False), ("patterns", True)):
        for good in document[field]:
            same(good, ".".join(channel(good.encode(), is_pattern)), good)
        for bad in document[f"bad_{field}"]:
            refusal(bad, lambda: channel(unhex(bad), is_pattern), "BadChannel")
        yield field
    for pattern, name, hit in document["matches"]:
        same(f"{pattern} {name}", matches(channel(pattern.encode(), True), channel(name.encode(), False)), hit)
    yield "matches"
    for inner, outer, hit in document["inside"]:
        same(f"{inner} in {outer}", inside(channel(inner.encode(), True), channel(outer.encode(), True)), hit)
    yield "inside"
    for b in document["border"]:
        same(str(b), border(b["party"], b["act"], b["agent"], b["pattern"]), b["allowed"])
    yield "border"


def calls_file(document):
    for p in document["payloads"]:
        same(p["name"], read_payload(p["layout"], unhex(p["payload"])), p["fields"])
        same(p["name"], write_payload(p["layout"], p["fields"]), p["payload"])
    yield "payloads"
    for p in document["bad_payloads"]:
        refusal(p["name"], lambda: read_payload(p["layout"], unhex(p["payload"])), "FrameError")
    yield "bad_payloads"
    for code, again in document["failures"]:
        same(str(code), FAILURES.get(code, "only what may be done twice"), again)
    yield "failures"
    same("statuses", [[one, FOLLOWS.get(one, [])] for one in STATUSES], document["statuses"])
    yield "statuses"


FILES = {
    "handshake-hybrid.json": handshake_file,
    "handshake-classical.json": handshake_file,
    "records.json": records_file,
    "rekey.json": rekey_file,
    "messages.json": messages_file,
    "channels.json": channels_file,
    "calls.json": calls_file,
}


def main():
    for at, (value, expected) in enumerate(CHECK_VALUES):
        same(f"check value {at} of 01-terms, 1.6", value, expected)
    here, count = pathlib.Path(__file__).resolve().parent, 0
    for name, run in FILES.items():
        try:
            for case in run(json.loads((here / name).read_text())):
                count += 1
                print(f"ok  {name}  {case}")
        except (Mismatch, Refused, AssertionError, KeyError) as why:
            print(f"FAILED  {name}: {type(why).__name__} {why}", file=sys.stderr)
            return 1
    print(f"{count} cases agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
