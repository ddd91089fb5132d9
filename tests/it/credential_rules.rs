//! Keys, credentials and enrolment: what vouches for a party, and each way in which it does not.

use std::time::Duration;

use waxwire::session::{
    ChainBook, Config, Credential, CredentialError, Credentials, Enrolment, HandshakeError, Issuer,
    Peer, Pinned, Refusal, Roles, Roots, Terms,
};
use waxwire::{KeyError, PublicKey, Role, Suite, UnixTime};

use crate::rival::{
    self, AS_INITIATOR, Answerer, Block, CLASSICAL, Dialler, Forgery, h, lv16, sign,
};
use crate::rival::{public, signing_key};
use crate::support::{
    AGENT, BACKEND, Handshake, agent_config, backend_config, fingerprint, identity, peer_id, realm,
    seed, start,
};

const ROOT: u8 = 50;
const ISSUER: u8 = 51;
const STRANGER: u8 = 66;

fn root() -> Issuer {
    Issuer::new(identity(ROOT), realm())
}

fn terms(name: &str, roles: Roles) -> Terms {
    let not_before = start().unix;
    let not_after = not_before.after(waxwire::limits::CREDENTIAL_LIFE);
    Terms { subject: peer_id(name), roles, not_before, not_after, labels: Vec::new() }
}

/// A backend that trusts the root and pins nobody.
fn trusting() -> Config {
    trusting_with(|roots| roots)
}

fn trusting_with(edit: impl FnOnce(Roots) -> Roots) -> Config {
    let roots = edit(Roots::new(root().public_key().clone()));
    Config::backend(realm(), identity(BACKEND)).peer(roots)
}

/// What a backend says to an agent that proves its key and presents this identity block.
fn presented(backend: Config, identity_block: Vec<u8>) -> Result<Peer, HandshakeError> {
    presented_at(backend, identity_block, start().unix)
}

fn presented_at(
    backend: Config,
    identity_block: Vec<u8>,
    unix: UnixTime,
) -> Result<Peer, HandshakeError> {
    let edit = |block: &mut Block| block.identity = identity_block;
    finished(backend, edit, unix)
}

fn finished(
    backend: Config,
    edit: impl FnOnce(&mut Block),
    unix: UnixTime,
) -> Result<Peer, HandshakeError> {
    let backend = backend.with_suites(&[Suite::Classical]).unwrap();
    let mut handshake = Handshake::new(agent_config(), backend);
    handshake.now.unix = unix;
    let dialler = Dialler::new(AGENT, BACKEND, CLASSICAL);
    let (answered, reply) = handshake.answer(&dialler.hello(), &ChainBook::new()).unwrap();
    let mut block = dialler.block(&public(&signing_key(BACKEND)));
    edit(&mut block);
    let (finish, _) = dialler.read(&reply).unwrap().finish(&block);
    handshake.finish(answered, &finish).map(|accepting| accepting.peer().clone())
}

/// The identity block of a chain.
fn chain(credentials: &[&[u8]]) -> Vec<u8> {
    let count = u8::try_from(credentials.len()).unwrap();
    let credentials: Vec<u8> = credentials.iter().flat_map(|bytes| lv16(bytes)).collect();
    [&[2, count], &credentials[..]].concat()
}

/// A credential as proto-spec 03, section 3.7 has it, any field of which may be bent.
#[derive(Clone)]
struct Paper {
    version: u8,
    kind: u8,
    not_before: u64,
    not_after: u64,
    roles: u8,
    key: [u8; 32],
    issuer_id: Option<[u8; 8]>,
    realm: Vec<u8>,
    subject: Vec<u8>,
    labels: Vec<u8>,
    signer: u8,
    context: &'static str,
    tail: Vec<u8>,
}

impl Paper {
    fn new(key: u8) -> Self {
        let now = start().unix.as_secs();
        Self {
            version: 1,
            kind: 1,
            not_before: now,
            not_after: now + 3600,
            roles: 1,
            key: public(&signing_key(key)),
            issuer_id: None,
            realm: b"test".to_vec(),
            subject: b"agent".to_vec(),
            labels: Vec::new(),
            signer: ROOT,
            context: "waxwire/1 credential",
            tail: Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        use sha2::Digest;
        let signer = signing_key(self.signer);
        let id: [u8; 32] = sha2::Sha256::digest(public(&signer)).into();
        let id = self.issuer_id.unwrap_or_else(|| id[..8].try_into().unwrap());
        let lv8 = |name: &[u8]| [&[u8::try_from(name.len()).unwrap()], name].concat();
        let signed = [
            &[self.version, self.kind][..],
            &[0xaa; 16],
            &self.not_before.to_be_bytes(),
            &self.not_after.to_be_bytes(),
            &[self.roles],
            &self.key,
            &id,
            &lv8(&self.realm),
            &lv8(&self.subject),
            &lv16(&self.labels),
        ]
        .concat();
        let signature = sign(&signer, self.context, &h(&[&signed]));
        [&signed[..], &signature, &self.tail].concat()
    }
}

/// The verdict on a leaf that `edit` changed before it was signed.
fn leaf(edit: impl FnOnce(&mut Paper)) -> Result<Peer, HandshakeError> {
    let mut paper = Paper::new(AGENT);
    edit(&mut paper);
    presented(trusting(), chain(&[&paper.bytes()]))
}

/// The verdict on a leaf and its issuer.
fn pair_of(edit: impl FnOnce(&mut Paper, &mut Paper)) -> Result<Peer, HandshakeError> {
    let (mut leaf, mut issuer) = (Paper::new(AGENT), Paper::new(ISSUER));
    leaf.signer = ISSUER;
    (issuer.kind, issuer.roles) = (2, 3);
    edit(&mut leaf, &mut issuer);
    presented(trusting(), chain(&[&leaf.bytes(), &issuer.bytes()]))
}

fn refused(refusal: Refusal) -> Result<Peer, HandshakeError> {
    Err(HandshakeError::Refused(refusal))
}

/// The layout of proto-spec and the one of this crate are the same; everything below changes one
/// thing in what is accepted here.
#[test]
fn a_credential_and_a_chain_of_two_are_accepted() {
    let peer = leaf(|_| {}).unwrap();
    assert_eq!((peer.id.as_str(), peer.role), ("agent", Role::Agent));
    assert!(pair_of(|_, _| {}).is_ok());
    let key = identity(AGENT).public_key().clone();
    let issued = root().issue(&key, &terms("agent", Roles::AGENT), &seed(9)).unwrap();
    assert!(presented(trusting(), chain(&[issued.as_bytes()])).is_ok());
}

/// proto-spec [H-16]: HS-10, PROTOCOL 8.18. Signed by the root, and still no credential.
#[test]
fn a_credential_that_breaks_its_layout_is_refused() {
    type Breach = fn(&mut Paper);
    let breaches: [(&str, Breach); 18] = [
        ("version 0", |paper| paper.version = 0),
        ("version 2", |paper| paper.version = 2),
        ("kind 0", |paper| paper.kind = 0),
        ("kind 3", |paper| paper.kind = 3),
        ("no role", |paper| paper.roles = 0),
        ("an undefined role", |paper| paper.roles = 5),
        ("no realm", |paper| paper.realm.clear()),
        ("a long realm", |paper| paper.realm = vec![b'a'; 65]),
        ("a realm with a dot", |paper| paper.realm = b"te.st".to_vec()),
        ("no subject", |paper| paper.subject.clear()),
        ("a subject with a wildcard", |paper| paper.subject = b"agent.*".to_vec()),
        ("a subject that is not ASCII", |paper| paper.subject = vec![0xff]),
        ("a label without a key", |paper| paper.labels = vec![0, 1, b'x']),
        ("a label cut short", |paper| paper.labels = vec![1, b'a', 2, b'x']),
        ("labels that descend", |paper| paper.labels = vec![1, b'b', 0, 1, b'a', 0]),
        ("a label twice", |paper| paper.labels = [1, b'a', 0].repeat(2)),
        ("a byte behind it", |paper| paper.tail = vec![0]),
        ("more than 2048 bytes", |paper| {
            let label = |key: u8| [&[1, key, 255][..], &[b'x'; 255]].concat();
            paper.labels = (b'a'..=b'h').flat_map(label).collect();
        }),
    ];
    for (name, breach) in breaches {
        let error = leaf(breach).unwrap_err();
        assert!(matches!(error, HandshakeError::Credential(_)), "{name}: {error:?}");
    }
}

/// proto-spec [H-16]: PROTOCOL 8.18. A credential cut anywhere, and an identity block of another
/// form.
#[test]
fn an_identity_block_that_breaks_its_layout_is_refused() {
    let whole = Paper::new(AGENT).bytes();
    for length in (0..whole.len()).step_by(7) {
        let error = presented(trusting(), chain(&[&whole[..length]])).unwrap_err();
        assert!(matches!(error, HandshakeError::Credential(_)), "{length}: {error:?}");
    }
    let key = public(&signing_key(AGENT));
    let two = [&whole[..], &whole];
    let blocks: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![]),
        ("kind 0", [&[0], &key[..]].concat()),
        ("kind 3", [&[3], &key[..]].concat()),
        ("a short key", [&[1], &key[..31]].concat()),
        ("a long key", [&[1], &key[..], &[0]].concat()),
        ("no credential", vec![2, 0]),
        ("three credentials", chain(&[two[0], two[1], two[0]])),
        ("fewer than it says", [&[2, 2], &chain(&[&whole])[2..]].concat()),
        ("more than it says", [&[2, 1], &chain(&two)[2..]].concat()),
    ];
    for (name, block) in blocks {
        let error = presented(trusting(), block).unwrap_err();
        assert!(matches!(error, HandshakeError::Credential(_)), "{name}: {error:?}");
    }
}

/// proto-spec [H-17]: HS-10, PROTOCOL 8.18. Chains of the wrong shape, and signatures that are not
/// the issuer's.
#[test]
fn a_chain_of_the_wrong_shape_is_refused() {
    assert_eq!(leaf(|leaf| leaf.kind = 2), refused(Refusal::WrongKind));
    assert_eq!(pair_of(|leaf, _| leaf.kind = 2), refused(Refusal::WrongKind));
    assert_eq!(pair_of(|_, issuer| issuer.kind = 1), refused(Refusal::WrongKind));
    assert_eq!(leaf(|leaf| leaf.signer = STRANGER), refused(Refusal::UnknownIssuer));
    assert_eq!(pair_of(|leaf, _| leaf.signer = ROOT), refused(Refusal::UnknownIssuer));
    assert_eq!(pair_of(|_, issuer| issuer.signer = STRANGER), refused(Refusal::UnknownIssuer));
    let root_id = Some(issuer_id(ROOT));
    let forged = leaf(|leaf| (leaf.signer, leaf.issuer_id) = (STRANGER, root_id));
    assert_eq!(forged, refused(Refusal::BadSignature));
    let forged = pair_of(|_, issuer| (issuer.signer, issuer.issuer_id) = (STRANGER, root_id));
    assert_eq!(forged, refused(Refusal::BadSignature));
    let below = Some(issuer_id(ISSUER));
    let forged = pair_of(|leaf, _| (leaf.signer, leaf.issuer_id) = (STRANGER, below));
    assert_eq!(forged, refused(Refusal::BadSignature));
    let (leaf, issuer) = (Paper::new(AGENT).bytes(), Paper::new(ISSUER).bytes());
    let reversed = presented(trusting(), chain(&[&issuer, &leaf]));
    assert!(reversed.is_err());
}

fn issuer_id(number: u8) -> [u8; 8] {
    use sha2::Digest;
    sha2::Sha256::digest(public(&signing_key(number)))[..8].try_into().unwrap()
}

/// proto-spec [H-12], [H-17]: PROTOCOL 8.12. The root's signature for something else is none for a
/// credential, whatever it signs.
#[test]
fn a_credential_signed_under_another_context_is_refused() {
    for context in [AS_INITIATOR, "waxwire/1 enrolment", "waxwire/1 refresh initiator", ""] {
        assert_eq!(leaf(|leaf| leaf.context = context), refused(Refusal::BadSignature));
    }
}

/// proto-spec [H-17]: PROTOCOL 8.18. Every bit of a credential is under its issuer's signature.
#[test]
fn a_credential_with_any_bit_flipped_is_refused() {
    let whole = Paper::new(AGENT).bytes();
    let roots = Roots::new(root().public_key().clone());
    let asked = waxwire::session::Asked { realm: &realm(), role: Role::Agent, now: start().unix };
    use waxwire::session::{Claim, Verifier};
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(leaf) = Credential::decode(&flipped) else { continue };
        let claim = Claim::Credentials(Box::new(Credentials::new(leaf)));
        assert!(roots.admit(&claim, &asked).is_err(), "bit {bit}");
    }
}

/// proto-spec [H-18]: PROTOCOL 8.18, HS-10. Exactly 300 s of tolerance, at both ends and in both
/// credentials; sums saturate.
#[test]
fn validity_is_judged_with_300_seconds_of_tolerance() {
    let now = start().unix.as_secs();
    for (from, expected) in [(300, None), (301, Some(Refusal::NotYetValid))] {
        let verdict = leaf(|leaf| leaf.not_before = now + from).map(|_| ());
        assert_eq!(verdict, expected.map_or(Ok(()), |refusal| Err(refusal.into())));
        let verdict = pair_of(|_, issuer| issuer.not_before = now + from).map(|_| ());
        assert_eq!(verdict, expected.map_or(Ok(()), |refusal| Err(refusal.into())));
    }
    for (ago, expected) in [(300, None), (301, Some(Refusal::Expired))] {
        let verdict = leaf(|leaf| leaf.not_after = now - ago).map(|_| ());
        assert_eq!(verdict, expected.map_or(Ok(()), |refusal| Err(refusal.into())));
        let verdict = pair_of(|_, issuer| issuer.not_after = now - ago).map(|_| ());
        assert_eq!(verdict, expected.map_or(Ok(()), |refusal| Err(refusal.into())));
    }
    assert!(leaf(|leaf| (leaf.not_before, leaf.not_after) = (0, u64::MAX)).is_ok());
    assert_eq!(leaf(|leaf| leaf.not_before = u64::MAX), refused(Refusal::NotYetValid));
    assert_eq!(leaf(|leaf| leaf.not_after = 0), refused(Refusal::Expired));
    // The earlier end of the chain ends the session.
    let peer = pair_of(|_, issuer| issuer.not_after = now + 60).unwrap();
    assert_eq!(peer.not_after, Some(UnixTime::from_secs(now + 60)));
}

/// proto-spec [H-19]: PROTOCOL 8.18.
#[test]
fn roles_and_realms_stay_inside_the_issuers() {
    assert_eq!(leaf(|leaf| leaf.realm = b"prod".to_vec()), refused(Refusal::WrongRealm));
    assert_eq!(pair_of(|leaf, _| leaf.realm = b"prod".to_vec()), refused(Refusal::WrongRealm));
    assert_eq!(pair_of(|_, issuer| issuer.realm = b"prod".to_vec()), refused(Refusal::WrongRealm));
    let wider = pair_of(|leaf, issuer| (leaf.roles, issuer.roles) = (3, 1));
    assert_eq!(wider, refused(Refusal::WrongRole));
    let outside = pair_of(|leaf, issuer| (leaf.roles, issuer.roles) = (1, 2));
    assert_eq!(outside, refused(Refusal::WrongRole));
    assert!(pair_of(|leaf, issuer| (leaf.roles, issuer.roles) = (1, 1)).is_ok());
}

/// proto-spec [H-20]: PROTOCOL 8.16. An agent's credential, honest and proven, does not make a
/// backend, nor a backend's an agent.
#[test]
fn a_credential_for_one_role_does_not_serve_the_other() {
    assert_eq!(leaf(|leaf| leaf.roles = 2), refused(Refusal::WrongRole));
    for (roles, expected) in [(1, Err(Refusal::WrongRole.into())), (2, Ok(())), (3, Ok(()))] {
        let mut paper = Paper::new(STRANGER);
        paper.roles = roles;
        let thief = Answerer::new(STRANGER);
        let mut block = thief.block();
        block.identity = chain(&[&paper.bytes()]);
        let mut handshake = Handshake::new(agent_config(), backend_config());
        let roots = Roots::new(root().public_key().clone());
        let config = Config::agent(realm(), identity(AGENT)).peer(roots);
        handshake.agent = std::sync::Arc::new(config.with_suites(&[Suite::Classical]).unwrap());
        let (initiator, hello) = handshake.hello();
        let (reply, _) = thief.reply(&hello, &block);
        assert_eq!(handshake.establish(initiator, &reply).map(|_| ()), expected, "{roles}");
    }
    // The same with pins: a key pinned for one role.
    let pins = Pinned::one(peer_id("x"), Role::Backend, fingerprint(AGENT));
    let backend = Config::backend(realm(), identity(BACKEND)).peer(pins);
    let key = rival::raw_identity(&public(&signing_key(AGENT)));
    assert_eq!(presented(backend, key), refused(Refusal::WrongRole));
}

/// proto-spec [H-22]: HS-10, PROTOCOL 8.18. Revoked by serial or key, leaf or issuer; a bare key
/// where roots decide.
#[test]
fn who_is_revoked_or_vouched_for_by_nobody_is_refused() {
    let block = || chain(&[&Paper::new(AGENT).bytes()]);
    let by_serial = trusting_with(|roots| roots.revoking_serial([0xaa; 16]));
    assert_eq!(presented(by_serial, block()), refused(Refusal::Revoked));
    let by_key = trusting_with(|roots| roots.revoking_key(fingerprint(AGENT)));
    assert_eq!(presented(by_key, block()), refused(Refusal::Revoked));
    let other = trusting_with(|roots| roots.revoking_serial([0xab; 16]));
    assert!(presented(other, block()).is_ok());
    let (mut leaf, mut issuer) = (Paper::new(AGENT), Paper::new(ISSUER));
    (leaf.signer, issuer.kind, issuer.roles) = (ISSUER, 2, 3);
    let by_issuer = trusting_with(|roots| roots.revoking_key(fingerprint(ISSUER)));
    let block = chain(&[&leaf.bytes(), &issuer.bytes()]);
    assert_eq!(presented(by_issuer, block), refused(Refusal::Revoked));
    let key = rival::raw_identity(&public(&signing_key(AGENT)));
    assert_eq!(presented(trusting(), key), refused(Refusal::NoCredential));
}

/// proto-spec [H-18], [H-19], [H-20]: a pin stands in for the root, not for realm, role and
/// validity of what its holder presents.
#[test]
fn a_pinned_key_with_a_bad_credential_is_refused() {
    let now = start().unix.as_secs();
    let pinned = |edit: fn(&mut Paper, u64)| {
        let mut paper = Paper::new(AGENT);
        paper.signer = STRANGER;
        edit(&mut paper, now);
        presented(backend_config(), chain(&[&paper.bytes()]))
    };
    let peer = pinned(|_, _| {}).unwrap();
    assert_eq!(peer.not_after, Some(UnixTime::from_secs(now + 3600)));
    assert!(peer.labels.is_empty());
    assert_eq!(pinned(|paper, now| paper.not_after = now - 301), refused(Refusal::Expired));
    assert_eq!(pinned(|paper, now| paper.not_before = now + 301), refused(Refusal::NotYetValid));
    assert_eq!(pinned(|paper, _| paper.realm = b"prod".to_vec()), refused(Refusal::WrongRealm));
    assert_eq!(pinned(|paper, _| paper.roles = 2), refused(Refusal::WrongRole));
}

/// Encodings of points of small order: the canonical ones, and those of y = p and p + 1 or of x = 0
/// with a sign.
fn weak_keys() -> Vec<[u8; 32]> {
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ]
    .map(|text| hex::decode(text).unwrap().try_into().unwrap())
    .to_vec()
}

/// Encodings whose y is p or more: y = p + k for every k, with and without a sign.
fn non_canonical_keys() -> Vec<[u8; 32]> {
    let encoding = |low: u8, high: u8| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (low, high);
        key
    };
    (0xed..=0xff).flat_map(|low| [encoding(low, 0x7f), encoding(low, 0xff)]).collect()
}

/// proto-spec [H-11]: HS-9, PROTOCOL 8.8 and 8.9, wherever a key is read. The signature does not
/// matter: under a weak key, a lax check accepts one that fits every message.
#[test]
fn weak_and_non_canonical_keys_are_refused_everywhere() {
    let weak = weak_keys().into_iter().map(|key| (key, KeyError::Weak));
    let odd = non_canonical_keys().into_iter().map(|key| (key, KeyError::NonCanonical));
    for (key, expected) in weak.chain(odd) {
        assert_eq!(PublicKey::from_bytes(&key).map(|_| ()), Err(expected), "{}", hex::encode(key));
        let for_every_message: Forgery = |_| {
            let mut signature = [0; 64];
            signature[0] = 1;
            signature
        };
        let in_block = finished(
            backend_config(),
            |block| {
                block.identity = rival::raw_identity(&key);
                block.forge = Some(for_every_message);
            },
            start().unix,
        );
        assert_eq!(in_block, Err(HandshakeError::Key(expected)));
        let in_leaf = leaf(|leaf| leaf.key = key);
        assert_eq!(in_leaf, Err(HandshakeError::Key(expected)));
        let in_issuer = pair_of(|_, issuer| issuer.key = key);
        assert_eq!(in_issuer, Err(HandshakeError::Key(expected)));
        let request = request(&key, AGENT, b"agent", [4; 32], "waxwire/1 enrolment");
        let in_request = Enrolment::verify(&request, &[4; 32]);
        assert_eq!(in_request.map(|_| ()), Err(CredentialError::Key(expected)));
    }
}

/// An enrolment request, as proto-spec has it.
fn request(key: &[u8; 32], signer: u8, subject: &[u8], nonce: [u8; 32], context: &str) -> Vec<u8> {
    let length = u8::try_from(subject.len()).unwrap();
    let signed = [&[1][..], key, &[length], subject, &nonce].concat();
    let signature = sign(&signing_key(signer), context, &h(&[&signed]));
    [&signed[..], &signature].concat()
}

/// proto-spec [H-12]: PROTOCOL 8.10, HS-9. `R` is the neutral element, so `S = k * a`: cofactorless
/// equations hold, and any key holder could make two signatures of one statement.
#[test]
fn a_signature_with_a_small_order_r_is_refused() {
    fn reduced<S>(of: S, wide: &[u8]) -> S
    where
        S: Copy + From<u8> + std::ops::Add<Output = S> + std::ops::Mul<Output = S>,
    {
        let byte = |byte: u8| [byte >> 4, byte & 15].map(S::from);
        let _ = of;
        wide.iter().rev().fold(S::from(0), |sum, next| {
            let [high, low] = byte(*next);
            sum * (S::from(16) * S::from(16)) + high * S::from(16) + low
        })
    }
    let small_r: Forgery = |statement| {
        use sha2::Digest;
        let key = signing_key(AGENT);
        let mut r = [0; 32];
        r[0] = 1;
        let k = sha2::Sha512::new()
            .chain_update(r)
            .chain_update(public(&key))
            .chain_update(statement)
            .finalize();
        let a = key.to_scalar();
        let s = reduced(a, &k) * a;
        [r, s.to_bytes()].concat().try_into().unwrap()
    };
    // The forgery is a good one for a check that does not look at `R`.
    let message = b"anything";
    let signature = ed25519_dalek::Signature::from_bytes(&small_r(message));
    #[expect(clippy::disallowed_methods, reason = "shows what the lax check takes")]
    let lax =
        ed25519_dalek::Verifier::verify(&signing_key(AGENT).verifying_key(), message, &signature);
    assert!(lax.is_ok());
    let verdict = finished(backend_config(), |block| block.forge = Some(small_r), start().unix);
    assert_eq!(verdict, Err(HandshakeError::BadSignature));
}

/// proto-spec [H-12]: `S` at or above the group order is a second form of the same signature.
#[test]
fn a_signature_with_s_beyond_the_order_is_refused() {
    let malleated: Forgery = |statement| {
        use ed25519_dalek::Signer;
        let mut signature = signing_key(AGENT).sign(statement).to_bytes();
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let mut carry = 0_u16;
        for (byte, add) in signature[32..].iter_mut().zip(hex::decode(order).unwrap()) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        signature
    };
    let verdict = finished(backend_config(), |block| block.forge = Some(malleated), start().unix);
    assert_eq!(verdict, Err(HandshakeError::BadSignature));
}

/// proto-spec [H-24]: PROTOCOL 8.15. E cannot enrol the public key of A: it holds no signature of
/// A over the issuer's nonce.
#[test]
fn a_request_without_proof_of_possession_is_refused() {
    let (nonce, other) = ([4; 32], [5; 32]);
    let key = public(&signing_key(AGENT));
    let verify = |bytes: &[u8]| Enrolment::verify(bytes, &nonce).map(|_| ());
    let no_proof = Err(CredentialError::ProofOfPossession);
    let context = "waxwire/1 enrolment";
    assert_eq!(verify(&request(&key, AGENT, b"a", nonce, context)), Ok(()));
    assert_eq!(verify(&request(&key, STRANGER, b"a", nonce, context)), no_proof);
    assert_eq!(verify(&request(&key, AGENT, b"a", other, context)), no_proof);
    for context in ["waxwire/1 credential", AS_INITIATOR, ""] {
        assert_eq!(verify(&request(&key, AGENT, b"a", nonce, context)), no_proof);
    }
    let honest = Enrolment::request(&identity(AGENT), &peer_id("a"), nonce);
    let enrolment = Enrolment::verify(&honest, &nonce).unwrap();
    assert_eq!((enrolment.key().to_bytes(), enrolment.subject()), (key, &peer_id("a")));
    for bit in 0..honest.len() * 8 {
        let mut flipped = honest.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Enrolment::verify(&flipped, &nonce).is_err(), "bit {bit}");
    }
    for length in 0..honest.len() {
        assert!(Enrolment::verify(&honest[..length], &nonce).is_err());
    }
    assert!(Enrolment::verify(&[&honest[..], &[0]].concat(), &nonce).is_err());
}

/// PROTOCOL 8.15: an issuer that was tricked into a credential for E over the key of A. E cannot
/// use it, and A under it is named as what the credential says, not as another.
#[test]
fn a_credential_over_a_foreign_key_serves_nobody_else() {
    let mut paper = Paper::new(AGENT);
    paper.subject = b"e".to_vec();
    let block = chain(&[&paper.bytes()]);
    let by_e = finished(
        trusting(),
        |sent| (sent.identity, sent.signer) = (block.clone(), signing_key(STRANGER)),
        start().unix,
    );
    assert_eq!(by_e, Err(HandshakeError::BadSignature));
    assert_eq!(presented(trusting(), block).map(|peer| peer.id), Ok(peer_id("e")));
}

/// Names and roles reach the application as the issuer wrote them, and nothing else does.
#[test]
fn what_a_handshake_says_of_a_peer_comes_from_its_issuer() {
    let agent_key = identity(AGENT).public_key().clone();
    let mut asked = terms("agent-7", Roles::AGENT);
    asked.labels = vec![("site".into(), "b".into()), ("rack".into(), "4".into())];
    let leaf = root().issue(&agent_key, &asked, &seed(9)).unwrap();
    let pins = Pinned::one(peer_id("backend"), Role::Backend, fingerprint(BACKEND));
    let agent = Config::agent(realm(), identity(AGENT)).peer(pins);
    let agent = agent.with_credentials(&Credentials::new(leaf)).unwrap();
    let pair = crate::support::pair_of(agent, trusting());
    let peer = pair.backend.peer();
    assert_eq!((peer.id.as_str(), peer.role), ("agent-7", Role::Agent));
    assert_eq!(peer.labels[0], ("rack".into(), "4".into()));
    assert_eq!(peer.not_after, Some(start().unix.after(Duration::from_secs(24 * 3600))));
}
