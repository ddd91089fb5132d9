//! The sealed half of a handshake message, the same for both sides: an identity, a signature over
//! everything so far, and a proof of the keys.

use bytes::{BufMut, Bytes, BytesMut};

use super::config::Config;
use super::error::HandshakeError;
use super::keys::HandshakeKeys;
use super::side::Side;
use super::verifier::{Asked, Claim, Peer};
use crate::crypto::{Digest, Sealing, hash};
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::{LinkId, PeerId};
use crate::limits::{RECORD_BYTES, RECORD_BYTES_MAX, RECORD_BYTES_MIN};
use crate::time::Now;
use crate::wire::{Block, List, put_entry, put_lv16};

const NONCE: [u8; 12] = [0; 12];
const PARAM_RECORD_BYTES: u16 = 0x0001;
/// The extension of a HELLO that offers less than its sender prefers.
pub(super) const EXTENSION_FALLBACK: u16 = 0x0001;
const AFTER_BLOCK: usize = 64 + 32;

/// A message being sealed: where its block goes, and what stands before it.
pub(super) struct Sealer<'a> {
    pub side: Side,
    pub config: &'a Config,
    pub keys: &'a HandshakeKeys,
    /// The transcript in front of the block.
    pub transcript: Digest,
    /// The key that FINISH is meant for.
    pub audience: Option<[u8; 32]>,
}

impl Sealer<'_> {
    /// Appends the sealed block to `record`, whose header is complete. Returns the transcript after
    /// it.
    pub(super) fn seal(&self, record: &mut BytesMut) -> Digest {
        let mut block = BytesMut::with_capacity(sealed_bytes(self.side, self.config));
        put_lv16(&mut block, &self.config.claim);
        if let Some(audience) = self.audience {
            block.put_slice(&audience);
        }
        let mut params = BytesMut::with_capacity(8);
        put_entry(&mut params, PARAM_RECORD_BYTES, &self.config.record_bytes.to_be_bytes());
        put_lv16(&mut block, &params);

        let header = header_of(record);
        let signed = signed_transcript(self.side, &self.transcript, &header, &block);
        let signature = self.config.identity.sign(self.side.handshake_context(), &signed);
        let confirmed = hash(&[&signed.0, &signature]);
        let finished = self.keys.finished(self.side, &confirmed);
        block.put_slice(&signature);
        block.put_slice(&finished);

        let aad = sealed_with(self.side, &self.transcript, &header);
        let key = Sealing::new(&self.keys.sealing(self.side));
        let tag = key.seal(&NONCE, &aad, &mut block);
        record.put_slice(&block);
        record.put_slice(&tag);
        hash(&[&confirmed.0, &finished])
    }
}

/// A message being opened.
pub(super) struct Opener<'a> {
    /// The side that sealed it.
    pub side: Side,
    pub config: &'a Config,
    pub keys: &'a HandshakeKeys,
    pub transcript: Digest,
}

/// What an opened message proved.
pub(super) struct Proven {
    pub peer: Peer,
    /// Whom the peer's credential is for; none if it proved a bare key.
    pub subject: Option<PeerId>,
    /// Bytes of one record that the peer takes.
    pub record_bytes: usize,
    pub transcript: Digest,
}

impl Opener<'_> {
    /// Opens the sealed block at the end of a message whose header is `header`, and checks all it
    /// says.
    pub(super) fn open(
        &self,
        header: &[u8; HEADER_BYTES],
        sealed: &mut [u8],
        now: Now,
    ) -> Result<Proven, HandshakeError> {
        let (text, tag) = sealed.split_last_chunk_mut().ok_or(HandshakeError::Decrypt)?;
        let aad = sealed_with(self.side, &self.transcript, header);
        let key = Sealing::new(&self.keys.sealing(self.side));
        key.open(&NONCE, &aad, text, tag).map_err(|_| HandshakeError::Decrypt)?;
        let block = match self.side {
            Side::Responder => Block::decode_reply(text)?,
            Side::Initiator => Block::decode_finish(text)?,
        };
        if let Some(kind) = block.params.unknown_critical(&[]) {
            return Err(HandshakeError::UnsupportedExtension(kind));
        }
        let record_bytes = record_bytes(&block.params)?;
        let claim = Claim::decode(block.identity)?;
        let signed = text.get(..block.signed_bytes).unwrap_or_default();
        let signed = signed_transcript(self.side, &self.transcript, header, signed);
        let context = self.side.handshake_context();
        let genuine = claim.key().verify(context, &signed, &block.signature);
        genuine.map_err(|_| HandshakeError::BadSignature)?;
        let confirmed = hash(&[&signed.0, &block.signature]);
        if !self.keys.is_finished(self.side, &confirmed, &block.finished) {
            return Err(HandshakeError::BadFinished);
        }
        let own = self.config.identity.public_key();
        if claim.key() == own {
            return Err(HandshakeError::SelfConnection);
        }
        if block.audience.is_some_and(|audience| audience != *own.as_bytes()) {
            return Err(HandshakeError::AudienceMismatch);
        }
        let asked =
            Asked { realm: &self.config.realm, role: self.config.role.opposite(), now: now.unix };
        let peer = self.config.peer.admit(&claim, &asked)?;
        if peer.role != asked.role {
            return Err(super::Refusal::WrongRole.into());
        }
        // What a verifier returns names the key that was proven here, whatever it looked up.
        let peer = Peer { key: claim.key().clone(), ..peer };
        let subject = claim.subject().cloned();
        let transcript = hash(&[&confirmed.0, &block.finished]);
        Ok(Proven { peer, subject, record_bytes, transcript })
    }
}

/// Bytes of the sealed block that `side` sends: a header counts them before they are made.
pub(super) fn sealed_bytes(side: Side, config: &Config) -> usize {
    let audience = match side {
        Side::Initiator => 32,
        Side::Responder => 0,
    };
    let params = 3 * 2; // one, of two bytes: type, length, value
    2 + config.claim.len() + audience + 2 + params + AFTER_BLOCK + TAG_BYTES
}

/// The header is in the transcript of REPLY already; that of FINISH joins here.
fn signed_transcript(side: Side, before: &Digest, header: &[u8], block: &[u8]) -> Digest {
    match side {
        Side::Responder => hash(&[&before.0, block]),
        Side::Initiator => hash(&[&before.0, &[header, block].concat()]),
    }
}

/// What is sealed with a block: the transcript, and the header where that does not hold it.
fn sealed_with(side: Side, transcript: &Digest, header: &[u8]) -> Vec<u8> {
    match side {
        Side::Responder => transcript.0.to_vec(),
        Side::Initiator => [&transcript.0, header].concat(),
    }
}

fn record_bytes(params: &List<'_>) -> Result<usize, HandshakeError> {
    let malformed = crate::wire::Malformed::Bounds("record size");
    let Some(value) = params.get(PARAM_RECORD_BYTES) else {
        return Ok(RECORD_BYTES);
    };
    let value: [u8; 2] = value.try_into().map_err(|_| malformed)?;
    let bytes = usize::from(u16::from_be_bytes(value));
    let allowed = (RECORD_BYTES_MIN..=RECORD_BYTES_MAX).contains(&bytes);
    if allowed { Ok(bytes) } else { Err(malformed.into()) }
}

/// Starts a handshake record whose body will have `body_bytes`.
pub(super) fn begin(kind: RecordType, link: LinkId, body_bytes: usize) -> BytesMut {
    let length = u16::try_from(body_bytes);
    assert!(length.is_ok(), "a handshake record of our own is too long");
    let mut record = BytesMut::with_capacity(HEADER_BYTES + body_bytes);
    let header = Header::handshake(kind, link, length.unwrap_or(u16::MAX));
    record.put_slice(&header.encode());
    record
}

/// The header at the front of a record of our own.
pub(super) fn header_of(record: &[u8]) -> [u8; HEADER_BYTES] {
    match record.first_chunk() {
        Some(header) => *header,
        None => unreachable!("a record of our own begins with its header"),
    }
}

/// Checks that `record` is a whole record of `kind` for `link`; returns its header.
pub(super) fn expect(
    record: &[u8],
    kind: RecordType,
    link: LinkId,
) -> Result<Header, HandshakeError> {
    let header = addressed(record, link)?;
    if header.kind == kind { Ok(header) } else { Err(HandshakeError::UnexpectedRecord) }
}

/// Checks that `record` is a whole record for `link`, or a HELLO, which is for none.
pub(super) fn addressed(record: &[u8], link: LinkId) -> Result<Header, HandshakeError> {
    let header = Header::of_record(record)?;
    let known = match header.kind {
        RecordType::Hello => header.link == LinkId::NONE,
        _ => header.link == link && link != LinkId::NONE,
    };
    if known { Ok(header) } else { Err(HandshakeError::UnknownLink) }
}

/// A record of our own, done.
pub(super) fn done(record: BytesMut, body_bytes: usize) -> Bytes {
    assert!(record.len() == HEADER_BYTES + body_bytes, "a header says how long its body is");
    record.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: LinkId = LinkId([1; 8]);
    const OTHER: LinkId = LinkId([3; 8]);

    /// proto-spec 02-records: a HELLO is for no link, anything else for the one it names.
    #[test]
    fn a_record_is_for_the_link_in_its_header() {
        let unknown = Err(HandshakeError::UnknownLink);
        for (kind, link, expected, verdict) in [
            (RecordType::Hello, LinkId::NONE, LinkId::NONE, Ok(())),
            (RecordType::Hello, LinkId::NONE, OURS, Ok(())),
            (RecordType::Hello, OURS, OURS, unknown),
            (RecordType::Reply, OURS, OURS, Ok(())),
            (RecordType::Reply, OTHER, OURS, unknown),
            (RecordType::Reply, LinkId::NONE, OURS, unknown),
            (RecordType::Reply, LinkId::NONE, LinkId::NONE, unknown),
            (RecordType::Reply, OURS, LinkId::NONE, unknown),
        ] {
            let heard = addressed(&record(kind, link), expected);
            assert_eq!(heard.map(|_| ()), verdict, "{kind:?} for {link:?} at {expected:?}");
        }
        let reply = record(RecordType::Reply, OURS);
        assert!(expect(&reply, RecordType::Reply, OURS).is_ok());
        let refused = expect(&reply, RecordType::Finish, OURS);
        assert_eq!(refused, Err(HandshakeError::UnexpectedRecord));
    }

    /// proto-spec 03-handshake: REPLY is sealed with the transcript, which holds its header; FINISH
    /// with the transcript and its header.
    #[test]
    fn a_block_is_sealed_with_its_transcript_and_header() {
        let (transcript, header) = (hash(&[b"before"]), [7; HEADER_BYTES]);
        assert_eq!(sealed_with(Side::Responder, &transcript, &header), transcript.0);
        let both = [&transcript.0[..], &header].concat();
        assert_eq!(sealed_with(Side::Initiator, &transcript, &header), both);
    }

    fn record(kind: RecordType, link: LinkId) -> Bytes {
        let mut record = begin(kind, link, 2_000);
        record.put_bytes(0, 2_000);
        done(record, 2_000)
    }
}
