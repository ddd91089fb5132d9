//! Every hash and secret of a handshake, from its messages and the initiator's secrets, each under
//! its name in proto-spec. Opens what the crate sealed and checks what it signed.

use serde_json::{Value, json};

use super::primitives::{Bytes32, Ephemeral, draw, expand, extract, h, is_signed, mac, open, xl};

/// Names and values in the order in which the text derives them.
#[derive(Default)]
pub struct Values(Vec<Value>);

impl Values {
    pub fn put<B: AsRef<[u8]>>(&mut self, name: &str, value: B) -> B {
        self.0.push(json!([name, hex::encode(&value)]));
        value
    }

    pub fn list<B: AsRef<[u8]>>(&mut self, name: &str, values: &[B]) {
        let values: Vec<_> = values.iter().map(hex::encode).collect();
        self.0.push(json!([name, values]));
    }

    pub fn done(self) -> Value {
        Value::Array(self.0)
    }
}

/// What was sent, and what is needed to read it.
pub struct Transcript<'a> {
    pub suite: u16,
    pub realm: &'a str,
    pub roles: [u8; 2],
    pub seed_i: Bytes32,
    pub knock_secret: Bytes32,
    pub chains: &'a [Bytes32],
    pub retried: Option<Retried<'a>>,
    pub hello: &'a [u8],
    pub reply: &'a [u8],
    pub finish: &'a [u8],
    pub accept: &'a [u8],
}

/// The first HELLO, and its RETRY.
pub struct Retried<'a> {
    pub hello: &'a [u8],
    pub retry: &'a [u8],
}

/// What a handshake leaves, and the parts of its messages that a case lists.
pub struct Derived {
    pub values: Value,
    pub th3: Bytes32,
    pub rekey: Bytes32,
    pub exporter: Bytes32,
    pub session_id: [u8; 16],
    pub chain: Bytes32,
    pub traffic: [Bytes32; 2],
    pub resume_index: u8,
    pub params: [Vec<u8>; 2],
}

/// Side of a direction: the names of the text.
pub const DIRECTIONS: [&str; 2] = ["I to R", "R to I"];

impl Transcript<'_> {
    pub fn derive(&self) -> Derived {
        let mut out = Values::default();
        out.put("knock_key", extract(b"waxwire/1 knock", &self.knock_secret));
        if let Some(retried) = &self.retried {
            out.put("HELLO 1", retried.hello);
            out.put("cookie", &retried.retry[26..]);
            out.put("RETRY", retried.retry);
        }
        let share_i = self.put_hello(&mut out);

        let share_end = 24 + 46 + usize::from(u16_at(self.reply, 24 + 44));
        let (reply_clear, reply_sealed) = self.reply.split_at(share_end);
        let share_r = &reply_clear[24 + 46..];
        let ss = Ephemeral::of(&self.seed_i, self.suite == 1).shared(share_r);
        out.put("share_I", share_i);
        out.put("share_R", share_r);
        out.put("ss", &ss);

        let [role_i, role_r] = self.roles;
        let prologue = h(&[b"waxwire/1", self.realm.as_bytes(), &[role_i], &[role_r]]);
        out.put("prologue", prologue);
        let th0 = out.put("TH0", h(&[suite_name(self.suite).as_bytes(), &prologue]));
        let thc = out.put("THc", h(&[&th0, self.hello, reply_clear]));

        let resume_index = reply_clear[24 + 3];
        let chain = self.chains.get(usize::from(resume_index)).copied().unwrap_or_default();
        let es = out.put("ES", extract(&[0; 32], &chain));
        let hs = out.put("HS", extract(&xl::<32>(&es, "derived", b""), &ss));
        let r_hs = out.put("r_hs", xl::<32>(&hs, "r hs", &thc));
        let i_hs = out.put("i_hs", xl::<32>(&hs, "i hs", &thc));
        let r_fin = out.put("r_fin", xl::<32>(&hs, "r fin", &thc));
        let i_fin = out.put("i_fin", xl::<32>(&hs, "i fin", &thc));
        let ms = out.put("MS", extract(&xl::<32>(&hs, "derived", b""), &[0; 32]));

        let block_r = open(&r_hs, &[0; 12], &thc, reply_sealed).unwrap();
        let (th2, params_r, key_r) = self.put_block_r(&mut out, thc, &block_r, &r_fin);
        out.put("block_R", &block_r);
        out.put("REPLY", self.reply);

        let (header, sealed) = self.finish.split_at(24);
        let block_i = open(&i_hs, &[0; 12], &[&th2[..], header].concat(), sealed).unwrap();
        let (th3, params_i) = self.put_block_i(&mut out, th2, &block_i, &i_fin, &key_r);
        out.put("block_I", &block_i);
        out.put("FINISH", self.finish);

        let traffic = [xl(&ms, "i ap", &th3), xl(&ms, "r ap", &th3)];
        for (s_0, direction) in traffic.iter().zip(DIRECTIONS) {
            out.put(&format!("s_0 of {direction}"), s_0);
            out.put(&format!("key_0 of {direction}"), xl::<32>(s_0, "key", b""));
            out.put(&format!("iv_0 of {direction}"), xl::<12>(s_0, "iv", b""));
        }
        let next = out.put("chain'", xl::<32>(&ms, "chain", &th3));
        out.put("rid(chain')", xl::<16>(&next, "rid", b""));
        let exporter = out.put("exporter", xl(&ms, "exp", &th3));
        let session_id = out.put("session_id", xl(&ms, "sid", &th3));
        let rekey = out.put("rekey_0", xl(&ms, "derived", b""));
        out.put("binding", th3);
        out.put("ACCEPT", self.accept);
        let [_, s_r] = &traffic;
        let (header, sealed) = self.accept.split_at(24);
        assert!(open(&xl(s_r, "key", b""), &xl(s_r, "iv", b""), header, sealed).is_some());
        let (params, values) = ([params_i, params_r], out.done());
        Derived {
            values,
            th3,
            rekey,
            exporter,
            session_id,
            chain: next,
            traffic,
            resume_index,
            params,
        }
    }

    /// The parts of HELLO; returns the share.
    fn put_hello(&self, out: &mut Values) -> &[u8] {
        out.put("HELLO", self.hello);
        let (at, share) = hello_share(self.hello);
        let resume = self.hello[at + 1..].chunks_exact(48).take(self.chains.len());
        let rids: Vec<_> = resume.clone().map(|entry| &entry[..16]).collect();
        let binders: Vec<_> = resume.map(|entry| &entry[16..]).collect();
        for ((chain, rid), binder) in self.chains.iter().zip(&rids).zip(&binders) {
            assert_eq!(*rid, xl::<16>(chain, "rid", b""));
            let key: Bytes32 = xl(&extract(&[0; 32], chain), "bind", b"");
            assert_eq!(*binder, mac(&key, &h(&[&self.hello[..at], rid])));
        }
        out.list("rids", &rids);
        out.list("binders", &binders);
        let (before, knock) = self.hello.split_last_chunk::<16>().unwrap();
        let key = extract(b"waxwire/1 knock", &self.knock_secret);
        assert_eq!(*knock, mac(&key, before)[..16]);
        out.put("knock", knock);
        share
    }

    fn put_block_r(
        &self,
        out: &mut Values,
        thc: Bytes32,
        block: &[u8],
        r_fin: &Bytes32,
    ) -> (Bytes32, Vec<u8>, Bytes32) {
        let (up_to_sig, sig, fin) = split_block(block);
        let ta = out.put("TA", h(&[&thc, up_to_sig]));
        let (identity, params) = take_lv16(up_to_sig);
        let key = identity_key(identity);
        assert!(is_signed(&key, "waxwire/1 handshake responder", &ta, sig));
        out.put("sig_R", sig);
        let tb = out.put("TB", h(&[&ta, sig]));
        assert_eq!(fin, mac(r_fin, &tb));
        out.put("fin_R", fin);
        let th2 = out.put("TH2", h(&[&tb, fin]));
        (th2, take_lv16(params).0.to_vec(), key)
    }

    fn put_block_i(
        &self,
        out: &mut Values,
        th2: Bytes32,
        block: &[u8],
        i_fin: &Bytes32,
        audience: &Bytes32,
    ) -> (Bytes32, Vec<u8>) {
        let (up_to_sig, sig, fin) = split_block(block);
        let ta = out.put("TA'", h(&[&th2, &[&self.finish[..24], up_to_sig].concat()]));
        let (identity, rest) = take_lv16(up_to_sig);
        let (named, params) = rest.split_at(32);
        assert_eq!(named, audience);
        let key = identity_key(identity);
        assert!(is_signed(&key, "waxwire/1 handshake initiator", &ta, sig));
        out.put("sig_I", sig);
        let tb = out.put("TB'", h(&[&ta, sig]));
        assert_eq!(fin, mac(i_fin, &tb));
        out.put("fin_I", fin);
        let th3 = out.put("TH3", h(&[&tb, fin]));
        (th3, take_lv16(params).0.to_vec())
    }
}

impl Derived {
    pub fn export(&self, label: &str, ctx: &[u8], bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        expand(&xl(&self.exporter, label, b""), "exporter", &h(&[ctx]), &mut out);
        out
    }
}

/// Offset of `n_resume` in a HELLO record, and its share.
pub fn hello_share(hello: &[u8]) -> (usize, &[u8]) {
    let suites = 24 + 1 + usize::from(hello[24]);
    let link = suites + 1 + 2 * usize::from(hello[suites]);
    let share = link + 8 + 32 + 2;
    let end = share + 2 + usize::from(u16_at(hello, share));
    (end, &hello[share + 2..end])
}

/// The extensions of a HELLO record.
pub fn hello_extensions(hello: &[u8]) -> &[u8] {
    let (at, _) = hello_share(hello);
    let (_, rest) = take_lv16(&hello[at + 1 + 48 * usize::from(hello[at])..]);
    take_lv16(rest).0
}

pub fn take_lv16(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[2..].split_at(usize::from(u16_at(bytes, 0)))
}

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn split_block(block: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (signed, fin) = block.split_at(block.len() - 32);
    let (up_to_sig, sig) = signed.split_at(signed.len() - 64);
    (up_to_sig, sig, fin)
}

/// The key of an identity block: raw, or that of the leaf.
fn identity_key(identity: &[u8]) -> Bytes32 {
    let at = if identity[0] == 1 { 1 } else { 4 + 1 + 1 + 16 + 8 + 8 + 1 };
    identity[at..at + 32].try_into().unwrap()
}

fn suite_name(suite: u16) -> &'static str {
    match suite {
        1 => "waxwire/1 X25519MLKEM768 Ed25519 ChaCha20Poly1305 SHA256",
        _ => "waxwire/1 X25519 Ed25519 ChaCha20Poly1305 SHA256",
    }
}

/// The ephemeral inputs of both sides, as their seeds give them.
pub fn ephemeral(seed_i: &Bytes32, seed_r: &Bytes32, suite: u16) -> Value {
    let mut out = json!({
        "x25519_i": hex::encode(draw::<32>(seed_i, "x25519 key")),
        "x25519_r": hex::encode(draw::<32>(seed_r, "x25519 key")),
    });
    if suite == 1 {
        out["mlkem_d_z"] = json!(hex::encode(draw::<64>(seed_i, "ml-kem key")));
        out["mlkem_m"] = json!(hex::encode(draw::<32>(seed_r, "ml-kem message")));
    }
    out
}
