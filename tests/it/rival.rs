//! A second handshake, written from proto-spec alone, every field of which a test may bend. It is
//! the attacker where an honest party cannot be made to misbehave.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use hkdf::hmac::{Hmac, Mac};
use ml_kem::{Decapsulate, KeyExport, MlKem768};
use sha2::{Digest, Sha256};
use x25519_dalek::StaticSecret;

pub const HELLO: u8 = 1;
pub const REPLY: u8 = 2;
pub const FINISH: u8 = 3;
pub const RETRY: u8 = 4;
pub const DATA: u8 = 5;
pub const REJECT: u8 = 7;
pub const NO_SESSION: u8 = 8;

pub const HYBRID: u16 = 1;
pub const CLASSICAL: u16 = 2;

pub const AS_RESPONDER: &str = "waxwire/1 handshake responder";
pub const AS_INITIATOR: &str = "waxwire/1 handshake initiator";

pub type Key = [u8; 32];

/// proto-spec 01, section 1.4.
pub fn h(parts: &[&[u8]]) -> Key {
    let mut state = Sha256::new();
    for part in parts {
        state.update(u32::try_from(part.len()).unwrap().to_be_bytes());
        state.update(part);
    }
    state.finalize().into()
}

pub fn extract(salt: &[u8], ikm: &[u8]) -> Key {
    Hkdf::<Sha256>::extract(Some(salt), ikm).0.into()
}

pub fn xl<const N: usize>(secret: &Key, label: &str, ctx: &[u8]) -> [u8; N] {
    let mut info = u16::try_from(N).unwrap().to_be_bytes().to_vec();
    let label = ["waxwire/1 ", label].concat();
    info.push(label.len().try_into().unwrap());
    info.extend(label.bytes());
    info.push(ctx.len().try_into().unwrap());
    info.extend(ctx);
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

pub fn hmac(key: &Key, message: &[u8]) -> Key {
    let mut state = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    state.update(message);
    state.finalize().into_bytes().into()
}

/// What Ed25519 signs.
pub fn statement(context: &str, digest: &Key) -> Vec<u8> {
    [&[0x20; 64][..], context.as_bytes(), &[0], digest].concat()
}

pub fn sign(key: &SigningKey, context: &str, digest: &Key) -> [u8; 64] {
    key.sign(&statement(context, digest)).to_bytes()
}

/// The secret half of `support::identity(number)`.
pub fn signing_key(number: u8) -> SigningKey {
    let root = extract(b"waxwire/1 seed", &[number; 32]);
    SigningKey::from_bytes(&xl(&root, "identity", b""))
}

pub fn public(key: &SigningKey) -> Key {
    key.verifying_key().to_bytes()
}

pub fn knock_of(public: &Key) -> Key {
    let fingerprint: Key = Sha256::digest(public).into();
    extract(b"waxwire/1 knock", &fingerprint)
}

/// What opens the door of `support::backend_config`.
pub fn backend_knock() -> Key {
    knock_of(&public(&signing_key(crate::support::BACKEND)))
}

pub fn raw_identity(public: &Key) -> Vec<u8> {
    [&[1], &public[..]].concat()
}

pub fn lv16(field: &[u8]) -> Vec<u8> {
    [&u16::try_from(field.len()).unwrap().to_be_bytes(), field].concat()
}

pub fn entry(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &lv16(value)].concat()
}

pub fn header(kind: u8, body: usize, link: [u8; 8]) -> Vec<u8> {
    let length = u16::try_from(body).unwrap().to_be_bytes();
    [&[0x10 | kind, 0][..], &length, &link, &[0; 12]].concat()
}

/// A record of `kind` for `link`.
pub fn record(kind: u8, link: [u8; 8], body: &[u8]) -> Vec<u8> {
    [header(kind, body.len(), link), body.to_vec()].concat()
}

fn cipher(key: &Key) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

fn seal(key: &Key, nonce: [u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let text = out.as_mut_slice();
    let tag = cipher(key).encrypt_inout_detached(&nonce.into(), aad, text.into()).unwrap();
    out.extend_from_slice(&tag);
    out
}

fn open(key: &Key, nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = sealed.split_last_chunk::<16>()?;
    let mut out = text.to_vec();
    let text = out.as_mut_slice();
    cipher(key).decrypt_inout_detached(&nonce.into(), aad, text.into(), tag.into()).ok()?;
    Some(out)
}

/// A DATA record that seals `frames` under epoch 0 of a direction's secret.
pub fn data(secret: &Key, link: [u8; 8], seq: u64, frames: &[u8]) -> Vec<u8> {
    let mut header = header(DATA, frames.len() + 16, link);
    header[16..].copy_from_slice(&seq.to_be_bytes());
    let mut nonce: [u8; 12] = xl(secret, "iv", b"");
    nonce.iter_mut().skip(4).zip(seq.to_be_bytes()).for_each(|(byte, seq)| *byte ^= seq);
    let body = seal(&xl(secret, "key", b""), nonce, &header, frames);
    [header, body].concat()
}

/// What a DATA record under epoch 0 of a direction's secret seals, if it opens.
#[cfg(feature = "runtime")]
pub fn frames(secret: &Key, record: &[u8]) -> Option<Vec<u8>> {
    let (header, sealed) = record.split_at_checked(24)?;
    let mut nonce: [u8; 12] = xl(secret, "iv", b"");
    nonce.iter_mut().skip(4).zip(&header[16..]).for_each(|(byte, seq)| *byte ^= seq);
    open(&xl(secret, "key", b""), nonce, header, sealed)
}

/// The fields of a HELLO, in their order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    pub versions: Vec<u8>,
    pub suites: Vec<u16>,
    pub link: [u8; 8],
    pub random: Key,
    pub share_suite: u16,
    pub share: Vec<u8>,
    pub resume: Vec<([u8; 16], Key)>,
    pub cookie: Vec<u8>,
    pub extensions: Vec<u8>,
    /// Bytes between the extensions and the knock; made to fit if empty.
    pub padding: Vec<u8>,
}

impl Hello {
    pub fn parse(record: &[u8]) -> Self {
        let mut rest = &record[24..record.len() - 16];
        let mut take = |count: usize| {
            let (taken, behind) = rest.split_at(count);
            rest = behind;
            taken.to_vec()
        };
        let u16_of = |bytes: Vec<u8>| u16::from_be_bytes(bytes.try_into().unwrap());
        let count = take(1)[0].into();
        let versions = take(count);
        let count = usize::from(take(1)[0]);
        let suites = (0..count).map(|_| u16_of(take(2))).collect();
        let link = take(8).try_into().unwrap();
        let random = take(32).try_into().unwrap();
        let share_suite = u16_of(take(2));
        let length = u16_of(take(2)).into();
        let share = take(length);
        let count = take(1)[0];
        let resume = (0..count)
            .map(|_| (take(16).try_into().unwrap(), take(32).try_into().unwrap()))
            .collect();
        let length = u16_of(take(2)).into();
        let cookie = take(length);
        let length = u16_of(take(2)).into();
        let extensions = take(length);
        let padding = rest.to_vec();
        Self {
            versions,
            suites,
            link,
            random,
            share_suite,
            share,
            resume,
            cookie,
            extensions,
            padding,
        }
    }

    fn before_resume(&self) -> Vec<u8> {
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        [
            &[u8::try_from(self.versions.len()).unwrap()],
            &self.versions[..],
            &[u8::try_from(self.suites.len()).unwrap()],
            &suites,
            &self.link,
            &self.random,
            &self.share_suite.to_be_bytes(),
            &lv16(&self.share),
        ]
        .concat()
    }

    /// The body without its knock.
    fn body(&self) -> Vec<u8> {
        let resume: Vec<u8> =
            self.resume.iter().flat_map(|(rid, binder)| [&rid[..], binder].concat()).collect();
        let mut body = [
            &self.before_resume()[..],
            &[u8::try_from(self.resume.len()).unwrap()],
            &resume,
            &lv16(&self.cookie),
            &lv16(&self.extensions),
            &self.padding,
        ]
        .concat();
        if self.padding.is_empty() {
            body.resize(body.len().max(1280 - 16), 0);
        }
        body
    }

    /// The record, knocking with `knock`.
    pub fn record(&self, knock: &Key) -> Vec<u8> {
        let body = self.body();
        let mut record = header(HELLO, body.len() + 16, [0; 8]);
        record.extend(body);
        record.extend_from_slice(&hmac(knock, &record)[..16]);
        record
    }

    /// Offers one more chain with its binder. Call it when all other fields are as they shall be.
    pub fn offer(&mut self, chain: &Key) {
        self.resume.push((xl(chain, "rid", b""), [0; 32]));
        let binder = self.binder(chain);
        self.resume.last_mut().unwrap().1 = binder;
    }

    /// The binder of `chain` in this HELLO, whose resume list has its final length.
    pub fn binder(&self, chain: &Key) -> Key {
        let mut before = header(HELLO, self.body().len() + 16, [0; 8]);
        before.extend(self.before_resume());
        let key = xl(&extract(&[0; 32], chain), "bind", b"");
        hmac(&key, &h(&[&before, &xl::<16>(chain, "rid", b"")]))
    }
}

/// Makes a signature of a statement.
pub type Forgery = fn(&[u8]) -> [u8; 64];

/// The sealed half of a REPLY or a FINISH.
#[derive(Clone)]
pub struct Block {
    pub identity: Vec<u8>,
    /// Empty in a REPLY.
    pub audience: Vec<u8>,
    pub params: Vec<u8>,
    pub signer: SigningKey,
    pub context: &'static str,
    /// Made from the statement, instead of a signature of `signer`.
    pub forge: Option<Forgery>,
    /// Added to the first byte of `fin`.
    pub spoil_fin: u8,
    pub tail: Vec<u8>,
}

impl Block {
    fn bytes(&self) -> usize {
        2 + self.identity.len() + self.audience.len() + 2 + self.params.len() + 96 + self.tail.len()
    }

    /// The sealed block, and the transcript behind it.
    fn seal(&self, sealing: &Key, fin: &Key, before: &Key, header: &[u8]) -> (Vec<u8>, Key) {
        let mut text = [lv16(&self.identity), self.audience.clone(), lv16(&self.params)].concat();
        let signed = h(&[before, &[header, &text].concat()]);
        let signature = match self.forge {
            None => sign(&self.signer, self.context, &signed),
            Some(forge) => forge(&statement(self.context, &signed)),
        };
        let confirmed = h(&[&signed, &signature]);
        let mut fin = hmac(fin, &confirmed);
        fin[0] ^= self.spoil_fin;
        text.extend([&signature[..], &fin, &self.tail].concat());
        let aad = [before, header].concat();
        (seal(sealing, [0; 12], &aad, &text), h(&[&confirmed, &fin]))
    }
}

/// Keys between REPLY and the end.
#[derive(Clone)]
pub struct Keys {
    hs: Key,
    thc: Key,
}

impl Keys {
    fn new(chain: &Key, ss: &[u8], thc: Key) -> Self {
        let es = extract(&[0; 32], chain);
        Self { hs: extract(&xl::<32>(&es, "derived", b""), ss), thc }
    }

    fn get(&self, label: &str) -> Key {
        xl(&self.hs, label, &self.thc)
    }

    pub fn secrets(&self, th3: Key) -> Secrets {
        let ms = extract(&xl::<32>(&self.hs, "derived", b""), &[0; 32]);
        Secrets {
            to_responder: xl(&ms, "i ap", &th3),
            to_initiator: xl(&ms, "r ap", &th3),
            chain: xl(&ms, "chain", &th3),
            exporter: xl(&ms, "exp", &th3),
            session_id: xl(&ms, "sid", &th3),
            binding: th3,
        }
    }
}

/// What a handshake leaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secrets {
    pub to_responder: Key,
    pub to_initiator: Key,
    pub chain: Key,
    pub exporter: Key,
    pub session_id: [u8; 16],
    pub binding: Key,
}

/// The prologue's inputs, and the chain that both sides use.
#[derive(Clone)]
pub struct Setting {
    pub realm: &'static str,
    pub role_i: u8,
    pub role_r: u8,
    pub chain: Key,
}

impl Default for Setting {
    fn default() -> Self {
        Self { realm: "test", role_i: 1, role_r: 2, chain: [0; 32] }
    }
}

impl Setting {
    fn thc(&self, suite: u16, hello: &[u8], clear: &[u8]) -> Key {
        let name: &[u8] = match suite {
            HYBRID => b"waxwire/1 X25519MLKEM768 Ed25519 ChaCha20Poly1305 SHA256",
            _ => b"waxwire/1 X25519 Ed25519 ChaCha20Poly1305 SHA256",
        };
        let roles = [[self.role_i], [self.role_r]];
        let prologue = h(&[b"waxwire/1", self.realm.as_bytes(), &roles[0], &roles[1]]);
        h(&[&h(&[name, &prologue]), hello, clear])
    }
}

/// An initiator.
pub struct Dialler {
    pub setting: Setting,
    pub hello: Hello,
    pub knock: Key,
    pub key: SigningKey,
    agreement: StaticSecret,
    kem: ml_kem::ml_kem_768::DecapsulationKey,
}

impl Dialler {
    /// Holds identity `number` and knocks for identity `responder`.
    pub fn new(number: u8, responder: u8, suite: u16) -> Self {
        let agreement = StaticSecret::from([number.wrapping_add(100); 32]);
        let kem = ml_kem::ml_kem_768::DecapsulationKey::from_seed([number; 64].into());
        let x = x25519_dalek::PublicKey::from(&agreement).to_bytes();
        let share = match suite {
            HYBRID => [kem.encapsulation_key().to_bytes().as_slice(), &x].concat(),
            _ => x.to_vec(),
        };
        let hello = Hello {
            versions: vec![1],
            suites: vec![suite],
            link: [7; 8],
            random: [8; 32],
            share_suite: suite,
            share,
            resume: Vec::new(),
            cookie: Vec::new(),
            extensions: Vec::new(),
            padding: Vec::new(),
        };
        let knock = knock_of(&public(&signing_key(responder)));
        let key = signing_key(number);
        Self { setting: Setting::default(), hello, knock, key, agreement, kem }
    }

    pub fn hello(&self) -> Vec<u8> {
        self.hello.record(&self.knock)
    }

    /// Reads a REPLY to [`Dialler::hello`], if it opens.
    pub fn read(&self, reply: &[u8]) -> Option<Heard> {
        let suite = self.hello.share_suite;
        let length = usize::from(u16::from_be_bytes([reply[68], reply[69]]));
        let (clear, sealed) = reply.split_at(70 + length);
        let (ct, x) = clear[70..].split_last_chunk::<32>()?;
        let mut ss = Vec::new();
        if suite == HYBRID {
            ss.extend_from_slice(&self.kem.decapsulate(ct.try_into().unwrap()));
        }
        let theirs = x25519_dalek::PublicKey::from(*x);
        ss.extend(self.agreement.diffie_hellman(&theirs).to_bytes());
        let thc = self.setting.thc(suite, &self.hello(), clear);
        let keys = Keys::new(&self.setting.chain, &ss, thc);
        let text = open(&keys.get("r hs"), [0; 12], &thc, sealed)?;
        let (rest, fin) = text.split_last_chunk::<32>()?;
        let (signed, signature) = rest.split_last_chunk::<64>()?;
        let tb = h(&[&h(&[&thc, signed]), signature]);
        assert_eq!(*fin, hmac(&keys.get("r fin"), &tb), "fin_R is not that of proto-spec");
        let identity = usize::from(u16::from_be_bytes([signed[0], signed[1]]));
        Some(Heard {
            keys,
            th2: h(&[&tb, fin]),
            link: reply[28..36].try_into().unwrap(),
            resumed: reply[27],
            identity: signed[2..2 + identity].to_vec(),
            signature: *signature,
        })
    }

    /// What an honest FINISH to `audience` holds.
    pub fn block(&self, audience: &Key) -> Block {
        Block {
            identity: raw_identity(&public(&self.key)),
            audience: audience.to_vec(),
            params: Vec::new(),
            signer: self.key.clone(),
            context: AS_INITIATOR,
            forge: None,
            spoil_fin: 0,
            tail: Vec::new(),
        }
    }
}

/// A REPLY that an initiator opened.
#[derive(Clone)]
pub struct Heard {
    pub keys: Keys,
    pub th2: Key,
    pub link: [u8; 8],
    pub resumed: u8,
    pub identity: Vec<u8>,
    pub signature: [u8; 64],
}

impl Heard {
    /// FINISH, and what the session has if the responder takes it.
    pub fn finish(&self, block: &Block) -> (Vec<u8>, Secrets) {
        let header = header(FINISH, block.bytes() + 16, self.link);
        let (i_hs, i_fin) = (self.keys.get("i hs"), self.keys.get("i fin"));
        let (sealed, th3) = block.seal(&i_hs, &i_fin, &self.th2, &header);
        ([header, sealed].concat(), self.keys.secrets(th3))
    }
}

/// A responder.
pub struct Answerer {
    pub setting: Setting,
    pub key: SigningKey,
    pub version: u8,
    pub suite: Option<u16>,
    pub resume_index: u8,
    pub link: [u8; 8],
    /// Instead of the share that answers the HELLO.
    pub share: Option<Vec<u8>>,
}

impl Answerer {
    pub fn new(number: u8) -> Self {
        Self {
            setting: Setting::default(),
            key: signing_key(number),
            version: 1,
            suite: None,
            resume_index: 0xff,
            link: [9; 8],
            share: None,
        }
    }

    /// What an honest REPLY holds.
    pub fn block(&self) -> Block {
        Block {
            identity: raw_identity(&public(&self.key)),
            audience: Vec::new(),
            params: Vec::new(),
            signer: self.key.clone(),
            context: AS_RESPONDER,
            forge: None,
            spoil_fin: 0,
            tail: Vec::new(),
        }
    }

    /// REPLY to a HELLO, and what reads the FINISH to it.
    pub fn reply(&self, hello: &[u8], block: &Block) -> (Vec<u8>, Replied) {
        let said = Hello::parse(hello);
        let agreement = StaticSecret::from([77; 32]);
        let (ek, x) = said.share.split_last_chunk::<32>().unwrap();
        let (mut share, mut ss) = (Vec::new(), Vec::new());
        if said.share_suite == HYBRID {
            let ek = ml_kem::EncapsulationKey::<MlKem768>::new(ek.try_into().unwrap()).unwrap();
            let (ct, secret) = ek.encapsulate_deterministic(&[55; 32].into());
            share.extend_from_slice(&ct);
            ss.extend_from_slice(&secret);
        }
        share.extend(x25519_dalek::PublicKey::from(&agreement).to_bytes());
        ss.extend(agreement.diffie_hellman(&x25519_dalek::PublicKey::from(*x)).to_bytes());
        let share = self.share.clone().unwrap_or(share);
        let suite = self.suite.unwrap_or(said.share_suite);
        let clear = [
            &[self.version][..],
            &suite.to_be_bytes(),
            &[self.resume_index],
            &self.link,
            &[6; 32],
            &lv16(&share),
        ]
        .concat();
        let mut record = header(REPLY, clear.len() + block.bytes() + 16, said.link);
        record.extend(clear);
        let thc = self.setting.thc(suite, hello, &record);
        let keys = Keys::new(&self.setting.chain, &ss, thc);
        let (sealed, th2) = block.seal(&keys.get("r hs"), &keys.get("r fin"), &thc, &[]);
        record.extend(sealed);
        (record, Replied { keys, th2, link: said.link })
    }
}

/// A responder that waits for FINISH.
pub struct Replied {
    pub keys: Keys,
    pub th2: Key,
    pub link: [u8; 8],
}

impl Replied {
    /// Reads FINISH, if it opens: the block's plaintext, and the session's secrets.
    pub fn read(&self, finish: &[u8]) -> Option<(Vec<u8>, Secrets)> {
        let (header, sealed) = finish.split_at(24);
        let aad = [&self.th2, header].concat();
        let text = open(&self.keys.get("i hs"), [0; 12], &aad, sealed)?;
        let (rest, fin) = text.split_last_chunk::<32>()?;
        let (signed, signature) = rest.split_last_chunk::<64>()?;
        let digest = h(&[&self.th2, &[header, signed].concat()]);
        let tb = h(&[&digest, signature]);
        assert_eq!(*fin, hmac(&self.keys.get("i fin"), &tb), "fin_I is not that of proto-spec");
        let th3 = h(&[&tb, fin]);
        Some((text, self.keys.secrets(th3)))
    }
}

/// An ACCEPT frame.
pub fn accept(session_id: [u8; 16], resumed: u8) -> Vec<u8> {
    let body = [&session_id[..], &1_u64.to_be_bytes(), &[resumed], &[3; 16]].concat();
    [&[0x13, 0][..], &lv16(&body)].concat()
}
