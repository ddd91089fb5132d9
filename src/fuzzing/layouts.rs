//! Targets that read one layout. Each asserts that what is accepted has one encoding: written anew
//! where there is an encoder, it gives the same bytes.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::parties;
use crate::crypto::{Context, Fingerprint, Identity, hash};
use crate::header::{HEADER_BYTES, Header, HeaderError, RecordType};
use crate::ids::{LinkId, Role};
use crate::limits::{CLOCK_SKEW, CREDENTIAL_BYTES, HELLO_BYTES_MIN, SEQ_END};
use crate::session::{
    Asked, Claim, Credential, Credentials, Enrolment, Greeting, HandshakeError, Knock, Verifier,
};
use crate::time::Now;
use crate::wire::{
    self, Block, CredentialKind, CredentialLayout, EnrolmentLayout, FRAME_HEADER_BYTES, Frame,
    Frames, Hello, HelloFields, Malformed, NoSession, Reject, Reply, Retry, encode_claim,
    encode_reply, put_lv16,
};

const KNOCK_BYTES: usize = 16;

/// The header of a record.
pub fn record_header(data: &[u8]) {
    let header = Header::decode(data);
    if data.len() < HEADER_BYTES {
        assert_eq!(header, Err(HeaderError::Truncated), "a short header was read");
    }
    let whole = Header::of_record(data);
    let Ok(header) = header else {
        assert_eq!(whole, header, "a whole record is judged like its header");
        return;
    };
    assert_eq!(Some(&header.encode()), data.first_chunk(), "a header has one encoding");
    assert_eq!(whole.is_ok(), data.len() == header.record_bytes(), "a record has one length");
    assert!(header.seq < SEQ_END, "no sender reaches this position");
    if header.kind != RecordType::Data {
        assert_eq!((header.epoch, header.seq), (0, 0), "only DATA has a position");
    }
}

/// The body of a HELLO without its knock, which is added, as is padding up to the least length.
pub fn hello(data: &[u8]) {
    if let Ok(hello) = Hello::decode(data) {
        assert_canonical_hello(&hello, data);
    }
    let record = knocked(data);
    let config = parties::responder();
    let Ok(header) = Header::of_record(&record) else { return };
    let received = Greeting::receive(Arc::clone(&config), &record, parties::start().instant);
    let hello = Hello::decode(record.get(HEADER_BYTES..).unwrap_or_default());
    match (received, hello) {
        (Ok(greeting), Ok(hello)) => {
            assert_eq!(greeting.link(), LinkId(hello.link), "answers go where HELLO says");
            assert_ne!(greeting.link(), LinkId::NONE, "a link has an id");
        }
        (Ok(_), Err(error)) => unreachable!("a malformed HELLO was received: {error}"),
        (Err(error), hello) => {
            assert!(!matches!(error, HandshakeError::BadKnock), "the knock is right");
            // What an extension holds is no part of the layout.
            let extension = HandshakeError::Malformed(Malformed::Bounds("fallback"));
            let malformed = error != extension && matches!(error, HandshakeError::Malformed(_));
            assert_eq!(malformed, hello.is_err(), "the layout is judged once: {error}");
            let answer = error.rejection(Greeting::link_of(&record));
            let header = answer.map(|answer| Header::of_record(&answer));
            assert!(matches!(header, Some(Ok(_))), "who knocked is answered");
        }
    }
    let mut stranger = record;
    if let Some(last) = stranger.last_mut() {
        *last ^= 1;
    }
    let refused = Greeting::receive(config, &stranger, parties::start().instant);
    assert_eq!(refused.err(), Some(HandshakeError::BadKnock), "who did not knock: {header:?}");
}

/// A HELLO record with this body, padded, and with the knock that the responder wants.
pub(super) fn knocked(body: &[u8]) -> Vec<u8> {
    let padded = body.len().max(HELLO_BYTES_MIN - KNOCK_BYTES);
    let length = u16::try_from(padded + KNOCK_BYTES).unwrap_or(u16::MAX);
    let header = Header::handshake(RecordType::Hello, LinkId::NONE, length);
    let mut record = header.encode().to_vec();
    record.extend_from_slice(body);
    record.resize(HEADER_BYTES + padded, 0);
    record.extend_from_slice(&knock(&record));
    record
}

/// The knock of someone who knows the responder's fingerprint.
pub(super) fn knock(before: &[u8]) -> [u8; KNOCK_BYTES] {
    Knock::fingerprint(&parties::responder().identity().public_key().fingerprint()).of(before)
}

/// Whether a HELLO ends in a knock of someone who knows the responder or its root.
pub(super) fn knocks(record: &[u8]) -> bool {
    let Some((before, end)) = record.split_last_chunk::<KNOCK_BYTES>() else { return false };
    let root = parties::trusted().0.public_key().fingerprint();
    knock(before) == *end || Knock::fingerprint(&root).of(before) == *end
}

fn assert_canonical_hello(hello: &Hello<'_>, body: &[u8]) {
    let suites: Vec<u16> = hello.suites().collect();
    let random_at = 1 + hello.versions.len() + 1 + 2 * suites.len() + hello.link.len();
    let random = body.get(random_at..).and_then(|rest| rest.first_chunk());
    let rids: Vec<[u8; 16]> = hello.resume().map(|(rid, _)| rid).collect();
    let fields = HelloFields {
        versions: hello.versions,
        suites: &suites,
        link: hello.link,
        random: random.copied().unwrap_or_default(),
        share_suite: hello.share_suite,
        share: hello.share,
        rids: &rids,
        cookie: hello.cookie,
        extensions: hello.extensions.bytes(),
    };
    let mut written = BytesMut::new();
    let marks = fields.encode(&mut written);
    assert_eq!(marks.resume, hello.marks.resume, "the resume list has one place");
    let mut at = marks.resume + 1;
    for (rid, binder) in hello.resume() {
        at += rid.len();
        let slots = written.iter_mut().skip(at);
        slots.zip(binder).for_each(|(slot, byte)| *slot = byte);
        at += binder.len();
    }
    let read = body.get(..hello.marks.knock).unwrap_or_default();
    let written = written.get(..marks.knock).unwrap_or_default();
    assert_eq!(unpadded(written), unpadded(read), "a HELLO has one encoding");
}

/// Without the zeros at its end.
pub(super) fn unpadded(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

/// The body of a REPLY up to its block, or that of a RETRY, REJECT or NO_SESSION.
pub fn reply(data: &[u8]) {
    let mut written = BytesMut::new();
    if let Ok(reply) = Reply::decode(data) {
        let clear = data.get(..reply.clear_bytes).unwrap_or_default();
        let random = clear.get(12..).and_then(|rest| rest.first_chunk()).copied();
        encode_reply(&reply, &random.unwrap_or([0; 32]), &mut written);
        assert_eq!(&*written, clear, "a REPLY has one encoding");
    }
    written.clear();
    if let Ok(retry) = Retry::decode(data) {
        retry.encode(&mut written);
        assert_eq!(&*written, data, "a RETRY has one encoding");
    }
    written.clear();
    if let Ok(reject) = Reject::decode(data) {
        reject.encode(&mut written);
        assert_eq!(&*written, data, "a REJECT has one encoding");
    }
    if let Ok(no_session) = NoSession::decode(data) {
        assert_eq!(no_session.token, *data, "a NO_SESSION is its token");
    }
}

/// The plaintext of a REPLY's block.
pub fn reply_block(data: &[u8]) {
    if let Ok(block) = Block::decode_reply(data) {
        assert!(block.audience.is_none(), "only FINISH has an audience");
        assert_canonical_block(&block, data);
    }
}

/// The plaintext of a FINISH's block.
pub fn finish_block(data: &[u8]) {
    if let Ok(block) = Block::decode_finish(data) {
        assert!(block.audience.is_some(), "FINISH has an audience");
        assert_canonical_block(&block, data);
    }
}

fn assert_canonical_block(block: &Block<'_>, data: &[u8]) {
    let mut written = BytesMut::new();
    put_lv16(&mut written, block.identity);
    if let Some(audience) = block.audience {
        written.put_slice(&audience);
    }
    put_lv16(&mut written, block.params.bytes());
    assert_eq!(written.len(), block.signed_bytes, "a signature covers all before it");
    written.put_slice(&block.signature);
    written.put_slice(&block.finished);
    assert_eq!(&*written, data, "a block has one encoding");
    if let Some(kind) = block.params.unknown_critical(&[]) {
        assert!(block.params.get(kind).is_some(), "what is refused is there");
    }
    let Ok(claim) = wire::Claim::decode(block.identity) else { return };
    written.clear();
    encode_claim(&claim, &mut written);
    assert_eq!(&*written, block.identity, "an identity has one encoding");
    if let wire::Claim::Credentials { leaf, issuer } = claim {
        for bytes in [Some(leaf), issuer].into_iter().flatten() {
            if let Ok(read) = Credential::decode(bytes) {
                assert_eq!(read.as_bytes(), bytes, "a credential is kept as it came");
            }
        }
    }
}

/// A credential or an enrolment request. A root admits one only if it signed it, and then only as
/// it says.
pub fn credential(data: &[u8]) {
    assert_canonical_enrolment(data);
    let Ok((layout, signed, _)) = CredentialLayout::decode(data) else {
        assert!(Credential::decode(data).is_err(), "a malformed credential was read");
        return;
    };
    let mut written = BytesMut::new();
    layout.encode(&mut written);
    assert_eq!(&*written, signed, "a credential has one encoding");
    assert_eq!(written.len() + 64, data.len(), "a credential ends in its signature");
    let Ok(read) = Credential::decode(data) else { return };
    assert!(data.len() <= CREDENTIAL_BYTES, "a credential is too long");
    assert_eq!(read.as_bytes(), data, "a credential is kept as it came");

    let (root, roots) = parties::trusted();
    let (now, realm) = (parties::start(), parties::realm());
    let asked = Asked { realm: &realm, role: Role::Agent, now: now.unix };
    let claim = |leaf| Claim::Credentials(Box::new(Credentials::new(leaf)));
    if roots.admit(&claim(read), &asked).is_ok() {
        let known = parties::credentials().iter().any(|known| known.as_bytes() == data);
        assert!(known, "a forgery was admitted");
    }
    // The same, signed: now it is admitted exactly if what it says allows it.
    let signature = root.sign(Context::Credential, &hash(&[signed]));
    let Ok(signed) = Credential::decode(&[signed, &signature].concat()) else { return };
    let admitted = roots.admit(&claim(signed), &asked).is_ok();
    assert_eq!(admitted, may_be_admitted(&layout, root, now), "a root misjudged its credential");
}

fn may_be_admitted(layout: &CredentialLayout<'_>, root: &Identity, now: Now) -> bool {
    let Fingerprint(fingerprint) = root.public_key().fingerprint();
    let skew = CLOCK_SKEW.as_secs();
    let now = now.unix.as_secs();
    layout.kind == CredentialKind::Leaf
        && fingerprint.starts_with(&layout.issuer)
        && layout.realm == parties::realm().as_str().as_bytes()
        && layout.roles & 1 != 0
        && layout.not_before <= now + skew
        && layout.not_after.saturating_add(skew) >= now
}

fn assert_canonical_enrolment(data: &[u8]) {
    let Ok((layout, signed, _)) = EnrolmentLayout::decode(data) else { return };
    let mut written = BytesMut::new();
    layout.encode(&mut written);
    assert_eq!(&*written, signed, "a request has one encoding");
    if Enrolment::verify(data, &layout.nonce).is_ok() {
        let mut other = layout.nonce;
        other.iter_mut().for_each(|byte| *byte = !*byte);
        assert!(Enrolment::verify(data, &other).is_err(), "a request serves for one nonce");
    }
}

/// The plaintext of a DATA record.
pub fn frames(data: &[u8]) {
    let mut rest = data;
    let mut frames = Frames::new(data);
    let mut written = BytesMut::new();
    while let Some(frame) = frames.next() {
        let Ok(frame) = frame else {
            assert!(frames.next().is_none(), "nothing is read behind an error");
            return;
        };
        let (whole, after) = split_frame(rest);
        rest = after;
        written.clear();
        frame.encode(&mut written);
        match frame {
            Frame::Rekey(rekey) | Frame::RekeyResponse(rekey) => {
                assert_eq!(rekey.whole, whole, "an exchange hashes whole frames");
                let signed = [rekey.signed, &rekey.signature].concat();
                assert_eq!(signed, whole, "a signature ends its frame");
            }
            Frame::Credential { identity, signature } => {
                put_lv16(&mut written, identity);
                written.put_slice(&signature);
                let body = whole.get(FRAME_HEADER_BYTES..).unwrap_or_default();
                assert_eq!(&*written, body, "a CREDENTIAL has one encoding");
            }
            Frame::Other { .. } => assert!(written.is_empty(), "an unknown frame is not ours"),
            _ => assert_eq!(&*written, whole, "a frame has one encoding"),
        }
    }
    assert!(rest.iter().all(|byte| *byte == 0), "what is behind the frames is padding");
}

/// The first frame by its length, and what follows it.
fn split_frame(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = match bytes {
        [_, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    bytes.split_at_checked(FRAME_HEADER_BYTES + length).unwrap_or((bytes, &[]))
}
