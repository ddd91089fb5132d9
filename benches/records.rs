//! Sealing and opening one record after another, in memory, both directions in turn.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use waxwire::Suite;
use waxwire::header::HEADER_BYTES;
use waxwire::session::Session;

use self::raw::Key;
use crate::measure::{Contender, Report, race};
use crate::noise::Noise;
use crate::parties::{Parties, now};

const SPAN: Duration = Duration::from_secs(8);
/// Type, flags and length in front of a datagram's payload.
const FRAME_HEADER_BYTES: usize = 4;
/// Room for the two frames that a record may bring of its own when its epoch is new.
const KEY_UPDATE_BYTES: usize = 2 * 8;

/// Prints every comparison of records.
pub fn run(report: &Report) {
    println!(
        "records: ours writes, checks, orders and parses, and copies its payload in once; raw"
    );
    println!("  seals and opens as long a plaintext in place, under a 24-byte header, keyed once;");
    println!("  a time is that of two records sealed and opened, one in each direction");
    for (name, payload_bytes) in [
        ("seal_open_16k_vs_raw_aead", 16 * 1024 - FRAME_HEADER_BYTES - KEY_UPDATE_BYTES),
        ("seal_open_64B_vs_raw_aead", 64),
    ] {
        if report.wants(name) {
            let times = race(SPAN, &mut [ours(payload_bytes), raw_aead(payload_bytes)]);
            report.ratio(name, times[0], times[1]);
        }
    }
    if report.wants("seal_open_1k_vs_snow") {
        let times = race(SPAN, &mut [ours(1024), snow_transport(1024)]);
        report.ratio("seal_open_1k_vs_snow", times[0], times[1]);
    }
}

/// One record each way, so that epochs change and are acknowledged as they are in use.
fn ours(payload_bytes: usize) -> Contender<'static> {
    let (mut agent, mut backend) = Parties::pinned(Suite::Hybrid).handshake();
    let payload = vec![7; payload_bytes];
    let mut wire = BytesMut::with_capacity(32 * 1024);
    let run = move |count| {
        for _ in 0..count {
            carry(&mut agent, &mut backend, black_box(&payload), &mut wire);
            carry(&mut backend, &mut agent, black_box(&payload), &mut wire);
        }
    };
    ("ours", Box::new(run))
}

fn carry(from: &mut Session, to: &mut Session, payload: &[u8], wire: &mut BytesMut) {
    wire.clear();
    from.seal_datagram(now().instant, payload, wire).unwrap();
    let opened = to.open(now().instant, black_box(wire)).unwrap();
    for datagram in opened.datagrams() {
        assert_eq!(black_box(datagram).len(), payload.len());
    }
}

/// The provider's cipher alone.
fn raw_aead(payload_bytes: usize) -> Contender<'static> {
    let keys = [Key::new(&[1; 32]), Key::new(&[2; 32])];
    let mut text = vec![7; FRAME_HEADER_BYTES + payload_bytes];
    let header = [3; HEADER_BYTES];
    let mut seq = 0_u64;
    let run = move |count| {
        for _ in 0..count {
            seq += 1;
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&seq.to_be_bytes());
            for key in &keys {
                let tag = key.seal(&nonce, black_box(&header), black_box(&mut text));
                key.open(&nonce, black_box(&header), black_box(&mut text), &tag);
            }
        }
    };
    ("raw", Box::new(run))
}

fn snow_transport(payload_bytes: usize) -> Contender<'static> {
    let (mut initiator, mut responder) = Noise::new().handshake();
    let payload = vec![7; payload_bytes];
    let (mut message, mut opened) = (vec![0; 2 * 1024], vec![0; 2 * 1024]);
    let run = move |count| {
        for _ in 0..count {
            let length = initiator.write_message(black_box(&payload), &mut message).unwrap();
            let length = responder.read_message(black_box(&message[..length]), &mut opened);
            assert_eq!(length.unwrap(), payload_bytes);
            let length = responder.write_message(black_box(&payload), &mut message).unwrap();
            let length = initiator.read_message(black_box(&message[..length]), &mut opened);
            assert_eq!(length.unwrap(), payload_bytes);
        }
    };
    ("snow", Box::new(run))
}

#[cfg(not(feature = "aws-lc"))]
mod raw {
    use chacha20poly1305::aead::AeadInOut;
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

    /// ChaCha20-Poly1305 of RustCrypto.
    pub struct Key(ChaCha20Poly1305);

    impl Key {
        pub fn new(key: &[u8; 32]) -> Self {
            Self(ChaCha20Poly1305::new(key.into()))
        }

        pub fn seal(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8]) -> [u8; 16] {
            self.0.encrypt_inout_detached(nonce.into(), header, text.into()).unwrap().into()
        }

        pub fn open(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8], tag: &[u8; 16]) {
            let opened =
                self.0.decrypt_inout_detached(nonce.into(), header, text.into(), tag.into());
            opened.unwrap();
        }
    }
}

#[cfg(feature = "aws-lc")]
mod raw {
    use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    /// ChaCha20-Poly1305 of AWS-LC.
    pub struct Key(LessSafeKey);

    impl Key {
        pub fn new(key: &[u8; 32]) -> Self {
            Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap()))
        }

        pub fn seal(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8]) -> [u8; 16] {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(header), text).unwrap();
            tag.as_ref().try_into().unwrap()
        }

        pub fn open(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8], tag: &[u8; 16]) {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            self.0.open_in_place_separate_tag(nonce, Aad::from(header), tag, text).unwrap();
        }
    }
}
