//! Cookies: proof, kept by the asker, that a HELLO came from where it says. Costs the responder no
//! memory.

use crate::crypto::{Secret, Seed, mac, same};
use crate::limits::COOKIE_TIME;
use crate::time::UnixTime;

const VERSION: u8 = 1;
pub(super) const COOKIE_LENGTH: usize = 1 + 4 + 16;

/// The key that a responder (or all replicas of one) makes cookies with.
pub struct CookieKey(Secret);

impl CookieKey {
    /// A key of a seed.
    #[must_use]
    pub fn new(seed: &Seed) -> Self {
        Self(Secret::new(*seed.draw("cookie key")))
    }

    /// The cookie for a HELLO whose statement hashes to `hello`, from `source`.
    pub(super) fn make(&self, source: &[u8], hello: &[u8], now: UnixTime) -> [u8; COOKIE_LENGTH] {
        self.of_bucket(source, hello, bucket(now))
    }

    /// Whether this key made `cookie` for `hello` from `source` in this bucket or the last.
    pub(super) fn accepts(
        &self,
        cookie: &[u8],
        source: &[u8],
        hello: &[u8],
        now: UnixTime,
    ) -> bool {
        let this = bucket(now);
        [this, this.wrapping_sub(1)]
            .into_iter()
            .fold(false, |fits, bucket| fits | same(&self.of_bucket(source, hello, bucket), cookie))
    }

    fn of_bucket(&self, source: &[u8], hello: &[u8], bucket: u32) -> [u8; COOKIE_LENGTH] {
        let bucket = bucket.to_be_bytes();
        let key = self.0.derive("cookie", &bucket);
        let [.., high, low] = source.len().to_be_bytes();
        let tag = mac(key.bytes(), &[&[high, low], source, hello]);
        let mut bytes = [VERSION].into_iter().chain(bucket).chain(tag);
        std::array::from_fn(|_| bytes.next().unwrap_or(0))
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey(..)")
    }
}

fn bucket(now: UnixTime) -> u32 {
    u32::try_from(now.as_secs() / COOKIE_TIME.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &[u8] = &[192, 0, 2, 1];
    const HELLO: &[u8] = &[7; 32];

    /// proto-spec 03-handshake, 3.8.
    #[test]
    fn a_cookie_is_a_version_a_bucket_and_a_mac() {
        let key = key(1);
        let cookie = key.make(SOURCE, HELLO, at(0x0102_0304 * 60 + 59));
        assert_eq!((cookie.len(), &cookie[..5]), (21, &[1, 1, 2, 3, 4][..]));
        let secret = key.0.derive("cookie", &[1, 2, 3, 4]);
        let mac = mac(secret.bytes(), &[&[0, 4], SOURCE, HELLO]);
        assert_eq!(cookie[5..], mac[..16]);
    }

    /// proto-spec [H-26]: the current or the previous bucket, and no other.
    #[test]
    fn a_cookie_serves_in_its_minute_and_the_next() {
        let key = key(1);
        let cookie = key.make(SOURCE, HELLO, at(6_030));
        for (now, serves) in [
            (0, false),
            (5_999, false),
            (6_000, true),
            (6_119, true),
            (6_120, false),
            (9_999, false),
        ] {
            assert_eq!(key.accepts(&cookie, SOURCE, HELLO, at(now)), serves, "{now}");
        }
        let first = key.make(SOURCE, HELLO, at(0));
        assert!(key.accepts(&first, SOURCE, HELLO, at(0)));
    }

    /// proto-spec [H-26]: this source, this HELLO, this responder.
    #[test]
    fn a_cookie_serves_one_source_one_hello_and_one_key() {
        let now = at(6_000);
        let cookie = key(1).make(SOURCE, HELLO, now);
        assert!(key(1).accepts(&cookie, SOURCE, HELLO, now));
        assert!(!key(2).accepts(&cookie, SOURCE, HELLO, now));
        assert!(!key(1).accepts(&cookie, &[192, 0, 2, 2], HELLO, now));
        assert!(!key(1).accepts(&cookie, SOURCE, &[8; 32], now));
        // Where the source ends counts.
        assert!(!key(1).accepts(&cookie, &SOURCE[..3], &[&[1], HELLO].concat(), now));
        for index in 0..cookie.len() {
            let mut wrong = cookie;
            wrong[index] ^= 1;
            assert!(!key(1).accepts(&wrong, SOURCE, HELLO, now), "byte {index}");
        }
        for wrong in [&[][..], &cookie[..20], &[&cookie[..], &[0]].concat()] {
            assert!(!key(1).accepts(wrong, SOURCE, HELLO, now));
        }
    }

    #[test]
    fn a_cookie_key_is_never_printed() {
        assert_eq!(format!("{:?}", key(0xab)), "CookieKey(..)");
    }

    fn key(byte: u8) -> CookieKey {
        CookieKey::new(&Seed::dangerous_reproducible([byte; 32]))
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }
}
